/**
 * The history of ticks as a real daemon keeps it: what came of computes that signal, skip, fail and
 * are killed, with what they logged; and that it is still there after a SIGKILL of the daemon (S4).
 */
import { Tick, type TickOutcome } from "@nerve/core/domain/Tick"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule, Schema } from "effect"
import { sense } from "./fixtures.ts"
import { allGone, ask, canLook, daemon, type Files, is, printed, run, within, workspace } from "./harness.ts"

const files: Files = {
  "nerve.yaml": `senses:
  # The first of them gets stuck, and takes the worker of the other with it.
  stuck: { group: shared, timeout: 300ms, grace_period: 200ms }
  innocent: { group: shared }
  every: { interval: 100ms }
  yearly: { cron: "0 0 1 1 *", time_zone: UTC }
`,
  "senses/stuck/index.ts": sense("for (;;) {}"),
  // Never comes to an end in its first worker.
  "senses/innocent/index.ts": sense(
    `if (existsSync("began")) return Sense.skip("once was enough")
    writeFileSync("began", "")
    console.log("began")
    await new Promise(() => {})`,
    `import { existsSync, writeFileSync } from "node:fs"`
  ),
  "senses/every/index.mjs": `import { Sense } from "@nerve/core"
import * as Schema from "effect/Schema"
let count = 0
export default Sense.make({
  signal: Schema.Struct({ count: Schema.Finite }),
  compute: ({ log }) => {
    if (++count === 2) throw new Error("the second one fails")
    if (count !== 1) return Sense.none
    log("about to signal", { count })
    return Sense.signal({ count })
  }
})
`,
  "senses/yearly/index.ts": sense("return Sense.none")
}

/** Its ticks once one of them came to this, newest first. */
const ticksOf = (root: string, name: string, outcome: TickOutcome) =>
  within(
    `a tick of ${name} that came to ${outcome}`,
    ask(root, (client) => client.ListTicks({ sense: name, limit: 200 })).pipe(
      Effect.filterOrFail(
        (ticks) => ticks.some((tick) => tick.outcome === outcome),
        () => "not yet" as const
      ),
      // Nobody is told of ticks: looking again and again is all there is.
      Effect.retry(Schedule.spaced("50 millis")),
      Effect.orDie
    )
  )

const outcomes = (ticks: ReadonlyArray<Tick>) => ticks.map(({ cause, outcome }) => `${cause} ${outcome}`).reverse()

describe.skipIf(!canLook)("the history of ticks", () => {
  it.live("has what came of each compute, and outlives a SIGKILL of the daemon", () =>
    Effect.gen(function* () {
      const root = yield* workspace(files)
      const nerve = yield* daemon(root)
      const signal = yield* nerve.entry("the signal", is("signal", "every"))

      // --- what it signalled and logged, and what it failed of, however many dull ticks came since
      const every = yield* ticksOf(root, "every", "error")
      const signalled = every.find((tick) => tick.outcome === "signal")
      assert.strictEqual(signalled?.signal, signal.id)
      assert.deepStrictEqual(signalled?.lines, [{ level: "Info", message: "about to signal", fields: { count: 1 } }])
      assert.isAtLeast(signalled?.startedAt ?? 0, signalled?.dueAt ?? Infinity)
      assert.include(every.find((tick) => tick.outcome === "error")?.detail, "the second one fails")

      // --- one that is stuck is killed; who was computing beside it runs again
      yield* run(root, "sense", "trigger", "innocent")
      yield* nerve.entry("the innocent one's compute", printed("sense:shared", "began"))
      yield* run(root, "sense", "trigger", "stuck")
      assert.deepStrictEqual(outcomes(yield* ticksOf(root, "stuck", "killed")), ["manual killed"])
      assert.deepStrictEqual(outcomes(yield* ticksOf(root, "innocent", "skipped")), [
        "manual interrupted",
        "restart skipped"
      ])

      // --- when each computes next
      const [yearly] = (yield* ask(root, (client) => client.GetStatus())).senses.filter(({ name }) => name === "yearly")
      assert.strictEqual(yearly?.cron, "0 0 1 1 *")
      assert.match(new Date(yearly?.nextAt ?? 0).toISOString(), /^\d{4}-01-01T00:00:00\.\d{3}Z$/)

      // --- on disk: asking has written what had gathered
      nerve.kill("SIGKILL")
      yield* nerve.ended
      yield* allGone(root, "10 seconds")
      const read = yield* run(root, "sense", "ticks", "innocent", "--json")
      assert.deepStrictEqual(
        outcomes(Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Array(Tick)))(read.stdout)),
        ["manual interrupted", "restart skipped"]
      )
      const successor = yield* daemon(root)
      const again = yield* ticksOf(root, "innocent", "skipped")
      assert.deepStrictEqual(outcomes(again), ["manual interrupted", "restart skipped"])
      successor.kill("SIGINT")
      assert.deepStrictEqual(yield* successor.ended, { code: 0, signal: null, stderr: "" })
    })
  )
})
