/** The last ticks of each sense and outcome, in memory. */
import type { Tick, TickOutcome } from "@nerve/core/domain/Tick"

/** Ticks of one sense and one outcome, oldest first once it is put in order. */
interface Ring {
  readonly ticks: Array<Tick>
  /** Where the next one goes, once it is full. */
  next: number
}

export class TickRings {
  private readonly bySense = new Map<string, Map<TickOutcome, Ring>>()
  private readonly size: number

  constructor(size: number) {
    this.size = size
  }

  get isEmpty(): boolean {
    return this.bySense.size === 0
  }

  /** Keeps a tick in the place of the oldest of its sense and outcome. */
  add(tick: Tick): void {
    let rings = this.bySense.get(tick.sense)
    if (rings === undefined) this.bySense.set(tick.sense, (rings = new Map()))
    const ring = rings.get(tick.outcome)
    if (ring === undefined) rings.set(tick.outcome, { ticks: [tick], next: 0 })
    else if (ring.ticks.length < this.size) ring.ticks.push(tick)
    else {
      ring.ticks[ring.next] = tick
      ring.next = (ring.next + 1) % this.size
    }
  }

  /** All that is kept of a sense. */
  of(sense: string): Array<Tick> {
    return [...(this.bySense.get(sense)?.values() ?? [])].flatMap(inOrder)
  }

  /** All that is kept, each sense's and outcome's together and the oldest first; nothing is kept afterwards. */
  take(): ReadonlyArray<ReadonlyArray<Tick>> {
    const all = [...this.bySense.values()].flatMap((rings) => [...rings.values()].map(inOrder))
    this.bySense.clear()
    return all
  }

  /** Gives back what was taken, as far as nothing newer has come in its place. */
  restore(taken: ReadonlyArray<ReadonlyArray<Tick>>): void {
    const newer = this.take()
    for (const tick of [...taken, ...newer].flat()) this.add(tick)
  }
}

const inOrder = ({ next, ticks }: Ring): ReadonlyArray<Tick> =>
  next === 0 ? ticks : [...ticks.slice(next), ...ticks.slice(0, next)]
