/**
 * A thread's rounds by the page: so many rounds and so many characters, whichever comes first, so that
 * an answer is bounded however long the thread is (D2).
 */
import type { ThreadMessage } from "@nerve/core/domain/Thread"
import * as Effect from "effect/Effect"
import type { LogStore, LogStoreError } from "./LogStore.ts"

export interface Page {
  /** Rounds after this one; from the first unless told. */
  readonly afterRound?: number | undefined
  /** Rounds at most; 100 unless told. */
  readonly limit?: number | undefined
  /** Characters of content and meta at most, but one round in any case; 1,000,000 unless told. */
  readonly characters?: number | undefined
}

const defaultLimit = 100

const defaultCharacters = 1_000_000

/** Rounds that are read at a time: what is read beyond the budget is small. */
const batch = 20

/** What a round counts for a budget of characters. */
export const charactersOf = ({ content, meta }: ThreadMessage): number => content.length + JSON.stringify(meta).length

export const read = Effect.fnUntraced(function* (
  store: LogStore["Service"],
  threadId: string,
  { afterRound = 0, characters = defaultCharacters, limit = defaultLimit }: Page
): Effect.fn.Return<ReadonlyArray<ThreadMessage>, LogStoreError> {
  const page: Array<ThreadMessage> = []
  let left = characters
  while (page.length < limit) {
    const size = Math.min(batch, limit - page.length)
    const next = yield* store.messages(threadId, { afterRound: page.at(-1)?.round ?? afterRound, limit: size })
    for (const message of next) {
      left -= charactersOf(message)
      if (left < 0 && page.length > 0) return page
      page.push(message)
    }
    if (next.length < size) break
  }
  return page
})
