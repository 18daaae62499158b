/**
 * Who wants to be woken when: a binary heap in which each item has one time at most, and can be given
 * another or none. With a thousand senses that each change theirs several times a second, looking
 * through all of them each time would be most of what the daemon does.
 */

interface Entry<A> {
  readonly item: A
  at: number
  index: number
}

export class WakeQueue<A> {
  private readonly heap: Array<Entry<A>> = []
  private readonly entries = new Map<A, Entry<A>>()

  /** The earliest time; `Infinity` when nobody waits. */
  get nextAt(): number {
    return this.heap[0]?.at ?? Number.POSITIVE_INFINITY
  }

  get size(): number {
    return this.heap.length
  }

  /** Wakes the item at this time, and no more at the time it had; null for not at all. */
  set(item: A, at: number | null): void {
    const entry = this.entries.get(item)
    if (at === null) {
      if (entry !== undefined) this.remove(entry)
      return
    }
    if (entry === undefined) {
      const added = { item, at, index: this.heap.length }
      this.entries.set(item, added)
      this.heap.push(added)
      this.up(added)
      return
    }
    const before = entry.at
    entry.at = at
    if (at < before) this.up(entry)
    else if (at > before) this.down(entry)
  }

  /** Takes all whose time has come, the earliest first. */
  takeDue(now: number): ReadonlyArray<A> {
    const due: Array<A> = []
    for (let first = this.heap[0]; first !== undefined && first.at <= now; first = this.heap[0]) {
      due.push(first.item)
      this.remove(first)
    }
    return due
  }

  private remove(entry: Entry<A>): void {
    this.entries.delete(entry.item)
    const last = this.heap.pop()
    if (last === undefined || last === entry) return
    this.put(last, entry.index)
    this.up(last)
    this.down(last)
  }

  private put(entry: Entry<A>, index: number): void {
    this.heap[index] = entry
    entry.index = index
  }

  private up(entry: Entry<A>): void {
    while (entry.index > 0) {
      const parentAt = (entry.index - 1) >> 1
      const parent = this.heap[parentAt]
      if (parent === undefined || parent.at <= entry.at) return
      this.put(parent, entry.index)
      this.put(entry, parentAt)
    }
  }

  private down(entry: Entry<A>): void {
    while (true) {
      const left = this.heap[2 * entry.index + 1]
      const right = this.heap[2 * entry.index + 2]
      const child = left !== undefined && right !== undefined && right.at < left.at ? right : left
      if (child === undefined || child.at >= entry.at) return
      const to = child.index
      this.put(child, entry.index)
      this.put(entry, to)
    }
  }
}
