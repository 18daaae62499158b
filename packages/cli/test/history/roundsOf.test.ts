/** Rounds of a thread, asked for in pages: all of them, or those that somebody wants. */
import { describe, expect, it } from "@effect/vitest"
import { ThreadId, WorkflowName } from "@nerve/core/domain/Ids"
import * as LogStoreMemory from "@nerve/runtime/log/LogStoreMemory"
import * as RoundsPage from "@nerve/runtime/log/RoundsPage"
import * as RunLog from "@nerve/runtime/workflow/RunLog"
import { Effect } from "effect"
import type { History } from "../../src/history/History.ts"
import { everything, roundsOf } from "../../src/history/roundsOf.ts"

const threadId = ThreadId.make("talk-1")

/** A thread of so many rounds, and what was asked about it. */
const world = Effect.fnUntraced(function* (rounds: number, characters: number) {
  const store = yield* LogStoreMemory.make
  const opened = { workflow: WorkflowName.make("talk"), prompt: "", maxRounds: rounds, dryRun: false, cause: "manual" }
  yield* store.appendAll([
    RunLog.started(threadId, opened),
    ...Array.from({ length: rounds }, (_, index) =>
      RunLog.message(threadId, index + 1, { role: "r", content: "x".repeat(characters), meta: null })
    )
  ])
  const pages: Array<number> = []
  const thread: History["thread"] = Effect.fnUntraced(function* (id, page = {}) {
    const messages = yield* Effect.orDie(RoundsPage.read(store, id, page))
    const run = yield* Effect.orDie(store.run(id))
    if (run === undefined) throw new Error("no run")
    pages.push(messages.reduce((sum, message) => sum + RoundsPage.charactersOf(message), 0))
    return { run, messages }
  })
  const none = () => Effect.succeed([])
  const history: History = { query: none, threads: none, ticks: none, thread }
  const rangeOf = (wanted: Partial<typeof everything>) =>
    Effect.map(roundsOf(history, threadId, { ...everything, ...wanted }), ({ messages }) => [
      messages[0]?.round,
      messages.at(-1)?.round,
      messages.length
    ])
  return { rangeOf, pages }
})

describe("the rounds of a thread", () => {
  it.effect("come in bounded answers, however many and however long they are", () =>
    Effect.gen(function* () {
      const many = yield* world(10_000, 10)
      expect(yield* many.rangeOf({})).toEqual([1, 10_000, 10_000])
      expect(many.pages.length).toBe(100)
      const long = yield* world(30, 400_000)
      expect(yield* long.rangeOf({})).toEqual([1, 30, 30])
      expect(Math.max(...long.pages)).toBeLessThanOrEqual(1_000_000)
    })
  )

  it.effect("can be chosen by number and by characters", () =>
    Effect.gen(function* () {
      const { rangeOf } = yield* world(250, 96)
      expect(yield* rangeOf({ from: 201 })).toEqual([201, 250, 50])
      expect(yield* rangeOf({ from: 5, limit: 150 })).toEqual([5, 154, 150])
      expect(yield* rangeOf({ from: 5, characters: 350 })).toEqual([5, 7, 3])
      expect(yield* rangeOf({ from: 5, characters: 1 })).toEqual([5, 5, 1])
      expect(yield* rangeOf({ from: 251 })).toEqual([undefined, undefined, 0])
      expect(yield* rangeOf({ characters: 12_000 })).toEqual([1, 120, 120])
    })
  )
})
