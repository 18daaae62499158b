/**
 * What `nerve dev` does around its daemon: the view, and every way in which it ends.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Schedule } from "effect"
import { fileURLToPath } from "node:url"
import { startScript } from "./run.ts"

const fixture = fileURLToPath(new URL("./watch.fixture.ts", import.meta.url))
const start = (...args: ReadonlyArray<string>) => startScript("/", fixture, ...args)

const lines = (text: string): ReadonlyArray<string> => text.split("\n").filter((line) => line !== "")

describe("watch", () => {
  it.live("shows everything from the first entry to the last, and sums up, when its time is over", () =>
    Effect.gen(function* () {
      const ran = yield* (yield* start("--for", "300")).ended
      assert.strictEqual(ran.stderr, "")
      assert.strictEqual(ran.code, 0)
      const [headline, started, signal, stopped, summary, ...more] = lines(ran.stdout)
      assert.strictEqual(headline, "headline")
      assert.match(started ?? "", /kernel {4}.* started/)
      assert.match(signal ?? "", /sense {5}cpu .* signal: usage 0.5$/)
      assert.match(stopped ?? "", /kernel {4}.* stopped/)
      assert.match(summary ?? "", /^ran 0\.\d s: 1 signal \(cpu 1\), 0 threads ended$/)
      assert.deepStrictEqual(more, [])
    })
  )

  it.live("prints one entry per line and nothing else with --json", () =>
    Effect.gen(function* () {
      const ran = yield* (yield* start("--for", "300", "--json")).ended
      assert.strictEqual(ran.code, 0)
      assert.deepStrictEqual(
        lines(ran.stdout).map((line) => JSON.parse(line).type),
        ["started", "signal", "stopped"]
      )
    })
  )

  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    it.live(`stops gracefully on ${signal}, exit code 0`, () =>
      Effect.gen(function* () {
        const watching = yield* start()
        yield* watching.printed("usage 0.5")
        watching.child.kill(signal)
        const ran = yield* watching.ended
        assert.strictEqual(ran.code, 0)
        assert.include(ran.stdout, "stopped")
        assert.include(ran.stdout, "ran ")
      })
    )
  }

  it.live("takes signals that come together for one, and ends at once on a later one, exit code 130", () =>
    Effect.gen(function* () {
      const watching = yield* start("--slow")
      yield* watching.printed("usage 0.5")
      const interrupt = Effect.sync(() => watching.child.kill("SIGINT"))
      const again = Effect.repeat(interrupt, Schedule.spaced("20 millis"))
      const [took, ran] = yield* Effect.timed(Effect.raceFirst(watching.ended, Effect.andThen(again, Effect.never)))
      assert.include(watching.output.stdout, "stopped")
      assert.strictEqual(ran.code, 130)
      assert.isAtLeast(Duration.toMillis(took), 450)
    })
  )

  it.live("stops gracefully and quietly when nobody reads any more", () =>
    Effect.gen(function* () {
      const watching = yield* start("--chatty")
      yield* watching.printed("usage 1")
      watching.child.stdout.destroy()
      const ran = yield* watching.ended
      assert.strictEqual(ran.code, 0)
      assert.strictEqual(ran.stderr, "stops gracefully")
    })
  )

  it.live("ends when the daemon was asked to stop", () =>
    Effect.gen(function* () {
      const ran = yield* (yield* start("--stop")).ended
      assert.strictEqual(ran.code, 0)
      assert.include(ran.stdout, "stopped")
    })
  )
})
