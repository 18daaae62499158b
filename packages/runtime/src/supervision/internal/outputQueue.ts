/**
 * Events that a slow consumer has not been told of yet. Each source may be ahead of the consumer by so much and is not
 * read beyond that, so that a worker that prints without end goes as fast as its consumer and no faster. Where that does
 * not help (a consumer that takes nothing at all, very many sources, a source that cannot be paused) the queue is bounded
 * all the same, by the number of events and by what they hold: when it is full the oldest go.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"

/** Characters that all together may hold. */
const maxCharacters = 4 * 1024 * 1024

/** What one source may be ahead, in events and in characters. */
const aheadEvents = 1024
const aheadCharacters = 1024 * 1024

/** A consumer that has taken nothing for so long is not waited for. */
const patience = "1 second"

/** Where events come from: one incarnation. */
export interface Source {
  readonly pauseUnsafe: () => void
  readonly resumeUnsafe: () => void
}

export interface OutputQueue<A> {
  /** The source is paused while it is too far ahead. */
  readonly offerUnsafe: (event: A, source?: Source) => void
  readonly take: Effect.Effect<A, Cause.Done>
  /** Takes what is in it now, one after the other, and not what comes meanwhile. */
  readonly forEachNow: (tell: (event: A) => Effect.Effect<void>) => Effect.Effect<void>
  /** What is in it may still be taken. */
  readonly end: Effect.Effect<unknown>
  /** To be run beside it: lets sources go on when the consumer takes nothing any more. */
  readonly watch: Effect.Effect<never>
}

/** What of one source is in the queue. */
interface Account {
  readonly source: Source
  events: number
  characters: number
  isPaused: boolean
}

interface Entry<A> {
  readonly event: A
  readonly characters: number
  readonly account: Account | undefined
}

/** What an event holds, roughly: its line and its fields. */
const charactersOf = (event: object): number => {
  const line = "line" in event && typeof event.line === "string" ? event.line.length : 0
  const fields = "fields" in event && event.fields !== null ? lengthOf(event.fields) : 0
  return line + fields
}

const lengthOf = (fields: unknown): number => {
  try {
    return JSON.stringify(fields).length
  } catch {
    // Nested too deep to be measured: as much as a frame can be.
    return maxCharacters
  }
}

const isTooFarAhead = ({ characters, events }: Account): boolean =>
  events >= aheadEvents || characters >= aheadCharacters

/** Half of the way back, so that it is not paused and resumed for each event. */
const isNearEnough = ({ characters, events }: Account): boolean =>
  events <= aheadEvents / 2 && characters <= aheadCharacters / 2

/** An empty one that takes so many events. */
export const make = <A extends object>(capacity: number): Effect.Effect<OutputQueue<A>> =>
  Effect.map(Queue.unbounded<Entry<A>, Cause.Done>(), (queue) => {
    const accounts = new Map<Source, Account>()
    let held = 0
    let taken = 0
    /** The consumer takes nothing: nobody waits for it until it does. */
    let isStuck = false
    const somePaused = Latch.makeUnsafe(false)

    const resume = (account: Account) => {
      account.isPaused = false
      account.source.resumeUnsafe()
    }

    const accountOf = (source: Source): Account => {
      const known = accounts.get(source)
      if (known !== undefined) return known
      const account: Account = { source, events: 0, characters: 0, isPaused: false }
      accounts.set(source, account)
      return account
    }

    const enter = (account: Account, characters: number) => {
      account.events += 1
      account.characters += characters
      if (account.isPaused || isStuck || !isTooFarAhead(account)) return
      account.isPaused = true
      account.source.pauseUnsafe()
      somePaused.openUnsafe()
    }

    const leave = (account: Account, characters: number) => {
      account.events -= 1
      account.characters -= characters
      if (account.isPaused && isNearEnough(account)) resume(account)
      if (account.events === 0) accounts.delete(account.source)
    }

    const left = ({ account, characters, event }: Entry<A>): A => {
      held -= characters
      if (account !== undefined) leave(account, characters)
      return event
    }

    /** Takes the oldest off. */
    const shift = (): A | undefined => {
      const oldest = Queue.takeUnsafe(queue)
      return oldest?._tag === "Success" ? left(oldest.value) : undefined
    }

    const isFullFor = (characters: number): boolean =>
      Queue.sizeUnsafe(queue) >= capacity || held + characters > maxCharacters

    /** The consumer has taken something. */
    const moved = () => {
      taken += 1
      isStuck = false
    }

    const look = Effect.suspend(() => {
      const before = taken
      return Effect.andThen(
        Effect.sleep(patience),
        Effect.sync(() => {
          const paused = [...accounts.values()].filter(({ isPaused }) => isPaused)
          if (paused.length === 0) somePaused.closeUnsafe()
          if (paused.length === 0 || taken !== before) return
          isStuck = true
          for (const account of paused) resume(account)
        })
      )
    })

    return {
      offerUnsafe: (event, source) => {
        const characters = charactersOf(event)
        while (isFullFor(characters) && shift() !== undefined);
        const account = source === undefined ? undefined : accountOf(source)
        if (!Queue.offerUnsafe(queue, { event, characters, account })) return
        held += characters
        if (account !== undefined) enter(account, characters)
      },
      take: Effect.map(Queue.take(queue), (entry) => {
        moved()
        return left(entry)
      }),
      forEachNow: (tell) => {
        const next = Effect.suspend(() => {
          const event = shift()
          if (event === undefined) return Effect.void
          moved()
          return tell(event)
        })
        return Effect.suspend(() =>
          Effect.forEach(Array.from({ length: Queue.sizeUnsafe(queue) }), () => next, { discard: true })
        )
      },
      end: Queue.end(queue),
      watch: Effect.forever(Effect.andThen(somePaused.await, look))
    }
  })
