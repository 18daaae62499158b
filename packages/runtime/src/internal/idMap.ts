/**
 * A map from ids that count up to what they stand for, for calls in flight. A `Map` would do, but for what V8 makes of
 * one that is added to and deleted from all the time: it copies its table now and then, and each old table points to
 * the next one. Once one of them is old for the collector, all that follow stay, with all that they held, until the
 * next full collection; calls then cost twice as much.
 */

/** Slots at first; a power of two. */
const initial = 64

export class IdMap<A> {
  /** An id has its slot at its lowest bits; 0 is none. Another side may send any number: it has its place all the same. */
  #ids: Array<number> = Array.from({ length: initial }, () => 0)
  #values: Array<A | undefined> = Array.from({ length: initial }, () => undefined)
  /** Those whose slot was taken by one that stays for long. */
  readonly #others = new Map<number, A>()
  #size = 0

  get size(): number {
    return this.#size
  }

  get(id: number): A | undefined {
    const slot = this.#slotOf(id)
    if (this.#isIn(slot, id)) return this.#values[slot]
    return this.#others.size === 0 ? undefined : this.#others.get(id)
  }

  has(id: number): boolean {
    return this.#isIn(this.#slotOf(id), id) || this.#others.has(id)
  }

  /** `id` must not be there. */
  add(id: number, value: A): void {
    this.#size += 1
    if (this.#size > this.#ids.length) this.#grow()
    this.#put(id, value)
  }

  /** False when it was not there. */
  delete(id: number): boolean {
    const slot = this.#slotOf(id)
    if (this.#isIn(slot, id)) {
      this.#ids[slot] = 0
      this.#values[slot] = undefined
    } else if (this.#others.size === 0 || !this.#others.delete(id)) {
      return false
    }
    this.#size -= 1
    return true
  }

  clear(): void {
    this.#ids.fill(0)
    this.#values.fill(undefined)
    this.#others.clear()
    this.#size = 0
  }

  /** By id, as they are now. */
  values(): ReadonlyArray<A> {
    return this.#entries().map(([, value]) => value)
  }

  #entries(): ReadonlyArray<readonly [number, A]> {
    const found: Array<readonly [number, A]> = [...this.#others]
    this.#ids.forEach((id, slot) => {
      if (id !== 0) found.push([id, this.#values[slot] as A])
    })
    return found.toSorted(([left], [right]) => left - right)
  }

  #slotOf(id: number): number {
    return id & (this.#ids.length - 1)
  }

  #isIn(slot: number, id: number): boolean {
    return this.#ids[slot] === id && id !== 0
  }

  #put(id: number, value: A): void {
    const slot = this.#slotOf(id)
    if (this.#ids[slot] !== 0 || id === 0) return void this.#others.set(id, value)
    this.#ids[slot] = id
    this.#values[slot] = value
  }

  #grow(): void {
    const entries = this.#entries()
    const length = 2 * this.#ids.length
    this.#ids = Array.from({ length }, () => 0)
    this.#values = Array.from({ length }, () => undefined)
    this.#others.clear()
    for (const [id, value] of entries) this.#put(id, value)
  }
}
