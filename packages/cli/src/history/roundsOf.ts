/**
 * A thread with the rounds that somebody wants to see, asked for in pages: one answer of the daemon is
 * bounded, a thread is not.
 */
import type { ThreadMessage } from "@nerve/core/domain/Thread"
import * as Effect from "effect/Effect"
import type { History } from "./History.ts"

/** Which rounds. */
export interface Wanted {
  /** The first, from 1. */
  readonly from: number
  /** At most so many. */
  readonly limit: number
  /** At most so many characters of content and meta, but one round in any case. */
  readonly characters: number
}

export const everything: Wanted = { from: 1, limit: Infinity, characters: Infinity }

/** Rounds, and characters, per request. */
const pageSize = 100
const pageCharacters = 1_000_000

/** The same measure as that of the daemon. */
const charactersOf = ({ content, meta }: ThreadMessage): number => content.length + JSON.stringify(meta).length

/** The run as it was when the last page was read. */
export const roundsOf = Effect.fnUntraced(function* (history: History, threadId: string, wanted: Wanted = everything) {
  const messages: Array<ThreadMessage> = []
  let left = wanted.characters
  for (;;) {
    const afterRound = messages.at(-1)?.round ?? wanted.from - 1
    const limit = Math.min(pageSize, wanted.limit - messages.length)
    const characters = Math.max(1, Math.min(pageCharacters, left))
    const page = yield* history.thread(threadId, { afterRound, limit, characters })
    for (const message of page.messages) {
      left -= charactersOf(message)
      if (left < 0 && messages.length > 0) return { run: page.run, messages }
      messages.push(message)
    }
    const last = messages.at(-1)?.round ?? Infinity
    if (page.messages.length === 0 || messages.length >= wanted.limit || last >= page.run.rounds) {
      return { run: page.run, messages }
    }
  }
})
