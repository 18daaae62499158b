/**
 * Workers that die while there is work: what they were doing is done all the same, and done once.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fixtures from "./fixtures.ts"
import {
  daemon,
  field,
  is,
  linesOf,
  printed,
  signal,
  trigger,
  workerPid,
  workspace,
  write,
  canLook
} from "./harness.ts"

describe.skipIf(!canLook)("killed workers", () => {
  it.live("come back: signals go on, the thread completes, a finished round is never run again", () =>
    Effect.gen(function* () {
      const root = yield* workspace(Fixtures.talk)
      const nerve = yield* daemon(root)
      yield* nerve.entry("a signal", is("signal", "tick"))
      const thread = yield* trigger(root, "talk", "hello")
      const waits = printed("workflow:talk", Fixtures.inRound(2, thread))

      // Twice, each time in the middle of round 2.
      for (const incarnation of [1, 2]) {
        const pid = yield* workerPid(nerve, "workflow:talk", incarnation)
        let begun = 0
        yield* nerve.entry(`round 2 in incarnation ${incarnation}`, (entry) => waits(entry) && ++begun === incarnation)
        signal(pid, "SIGKILL")
        const sense = yield* workerPid(nerve, "sense:clock", incarnation)
        signal(sense, "SIGKILL")
        const exit = yield* nerve.entry("its exit", (entry) => entry.type === "exited" && field(entry, "pid") === pid)
        assert.strictEqual(field(exit, "signal"), "SIGKILL")
        assert.strictEqual(field(exit, "expected"), false)
        const back = yield* nerve.entry(
          "the sense worker, back",
          (entry) => is("started", "sense:clock")(entry) && field(entry, "incarnation") === incarnation + 1
        )
        yield* nerve.entry("a signal of its", (entry) => is("signal", "tick")(entry) && entry.id > back.id)
      }

      let begun = 0
      yield* nerve.entry("round 2 for the third time", (entry) => waits(entry) && ++begun === 3)
      write(root, { gate: "" })
      yield* nerve.entry("its end", is("completed", thread))
      assert.deepStrictEqual(linesOf(root, "rounds.log"), [
        ...Fixtures.rounds(thread, 1),
        `began ${thread} 2`,
        `began ${thread} 2`,
        ...Fixtures.rounds(thread, 2, 3)
      ])
      const about = nerve.entries.filter((entry) => entry.refId === thread)
      assert.deepStrictEqual(
        about.map(({ round, type }) => (round === null ? type : `${type} ${round}`)),
        ["started", "message 1", "crashed", "crashed", "message 2", "message 3", "completed"]
      )
    })
  )
})
