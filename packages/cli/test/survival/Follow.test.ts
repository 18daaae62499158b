/**
 * Somebody reads the log of a daemon as it is written, and the daemon is killed.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fixtures from "./fixtures.ts"
import { canLook, daemon, is, start, trigger, workspace } from "./harness.ts"

describe.skipIf(!canLook)("nerve logs --follow --json", () => {
  it.live("shows entries as they come, each once, and ends with a word and exit code 1 when the daemon is killed", () =>
    Effect.gen(function* () {
      const root = yield* workspace({ ...Fixtures.talk, gate: "" })
      const nerve = yield* daemon(root)
      yield* nerve.entry("a signal", is("signal", "tick"))
      const logs = yield* start(root, "logs", "--follow", "--json")
      yield* logs.entry("the past", is("signal", "tick"))
      const thread = yield* trigger(root, "talk", "hello")
      const end = yield* logs.entry("the thread's end", is("completed", thread))
      yield* nerve.entry("the same, at the daemon", ({ id }) => id === end.id)
      const upToThere = (entries: typeof nerve.entries) => entries.filter(({ id }) => id <= end.id)
      assert.deepStrictEqual(upToThere(logs.entries), upToThere(nerve.entries))
      nerve.kill("SIGKILL")
      const ended = yield* logs.ended
      assert.deepStrictEqual(ended, {
        code: 1,
        signal: null,
        stderr: `nerve: lost the daemon of ${root}: it ended before it had answered\n`
      })
    })
  )
})
