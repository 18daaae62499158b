/**
 * A persistent first-in-first-out queue: two linked lists, so that an append and a take cost a few
 * nanoseconds whatever the length. `PoolMachine` keeps its waiting calls in one.
 */

interface Cell<A> {
  readonly head: A
  readonly tail: Cell<A> | null
}

export interface Fifo<A> {
  readonly size: number
  /** Oldest first. Empty only when the whole queue is. */
  readonly front: Cell<A> | null
  /** Newest first. */
  readonly back: Cell<A> | null
}

export const empty: Fifo<never> = { size: 0, front: null, back: null }

const reversed = <A>(list: Cell<A> | null): Cell<A> | null => {
  let result: Cell<A> | null = null
  for (let cell = list; cell !== null; cell = cell.tail) result = { head: cell.head, tail: result }
  return result
}

const normal = <A>(size: number, front: Cell<A> | null, back: Cell<A> | null): Fifo<A> =>
  front === null ? { size, front: reversed(back), back: null } : { size, front, back }

export const append = <A>(queue: Fifo<A>, item: A): Fifo<A> =>
  normal(queue.size + 1, queue.front, { head: item, tail: queue.back })

/** The oldest; undefined when there is none. */
export const peek = <A>(queue: Fifo<A>): A | undefined => queue.front?.head

/** All but the oldest. */
export const rest = <A>(queue: Fifo<A>): Fifo<A> =>
  queue.front === null ? queue : normal(queue.size - 1, queue.front.tail, queue.back)

/** Oldest first. */
export const toArray = <A>(queue: Fifo<A>): ReadonlyArray<A> => {
  const items: Array<A> = []
  for (let cell = queue.front; cell !== null; cell = cell.tail) items.push(cell.head)
  for (let cell = reversed(queue.back); cell !== null; cell = cell.tail) items.push(cell.head)
  return items
}

export const fromArray = <A>(items: ReadonlyArray<A>): Fifo<A> =>
  items.reduceRight<Fifo<A>>(
    (queue, head) => ({ size: queue.size + 1, front: { head, tail: queue.front }, back: null }),
    empty
  )
