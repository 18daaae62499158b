/**
 * A day in the life of six senses in two groups, on the test's clock: every interval met, none
 * overlapped, throttle respected, every signal followed up. The real time it took is printed.
 */
import { assert, describe, it } from "@effect/vitest"
import type { SenseConfig } from "@nerve/core/config/NerveConfig"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { noSignal, sense, settle, signal, start } from "./harness.ts"

const second = 1_000
const minute = 60 * second
const day = 24 * 60 * minute

const senses: ReadonlyArray<SenseConfig> = [
  sense("cpu", { group: "fast", intervalMs: 30 * second }),
  sense("memory", { group: "fast", intervalMs: minute }),
  sense("load", { group: "fast", on: ["cpu", "memory"], throttleMs: 2 * minute }),
  sense("disk", { group: "slow", intervalMs: 2 * minute }),
  sense("net", { group: "slow", intervalMs: 5 * minute, throttleMs: minute }),
  sense("alarm", { group: "slow", on: ["disk", "load"], intervalMs: 5 * minute, throttleMs: minute })
]

/** How long a compute of each takes; `disk` takes longer than its interval each hundredth time. */
const durationMs = (name: string, nth: number): number =>
  name === "disk" && nth % 100 === 99
    ? 5 * minute
    : ({ cpu: 200, memory: 50, load: 0, disk: 7_000, net: 900 }[name] ?? 30)

describe("a simulated day", () => {
  it.effect("meets every interval, overlaps nothing, respects every throttle, follows up every signal", () =>
    Effect.gen(function* () {
      const running = new Set<string>()
      const overlaps: Array<string> = []
      const ends = new Map<string, Array<number>>(senses.map(({ name }) => [name, []]))
      const clock = yield* TestClock.testClockWith(Effect.succeed)
      const { children, events, of, pool, startsOf } = yield* start({
        senses: senses.map((one) => ({ ...one, timeoutMs: 10 * minute })),
        compute: ({ nth, sense: name }) => {
          if (running.has(name)) overlaps.push(name)
          running.add(name)
          return Effect.sleep(durationMs(name, nth)).pipe(
            Effect.map(() => {
              running.delete(name)
              ends.get(name)?.push(clock.currentTimeMillisUnsafe())
              return nth % 3 === 0 ? signal : noSignal
            })
          )
        }
      })
      const firsts = new Map((yield* pool.views).map((view) => [view.name as string, view.nextAt]))

      const began = performance.now()
      const cpuBegan = process.cpuUsage()
      yield* TestClock.adjust(day)
      yield* settle
      const cpu = process.cpuUsage(cpuBegan)
      const cpuMs = Math.round((cpu.user + cpu.system) / 1000)
      console.log(
        `a day of ${events.length} events took ${Math.round(performance.now() - began)} ms (${cpuMs} ms of processor time)`
      )

      assert.deepStrictEqual(overlaps, [])
      assert.lengthOf(children.all(), 2)
      assert.lengthOf([...of("ComputeFailed"), ...of("ComputeInterrupted"), ...of("ComputeKilled")], 0)
      for (const { intervalMs, name, on, throttleMs } of senses) {
        const at = startsOf(name).map((one) => one.at)
        assert.isAbove(at.length, 200, name)

        // Throttle: no two starts closer than it.
        if (throttleMs !== null) {
          at.forEach((time, index) => assert.isAtLeast(time - (at[index - 1] ?? -Infinity), throttleMs, name))
        }

        // Interval: each tick of the grid is answered by a start at it, or, if something was in its
        // way, at the first moment at which nothing was.
        if (intervalMs !== null) {
          const first = firsts.get(name) ?? Number.NaN
          for (let tick = first; tick < day - 10 * minute; tick += intervalMs) {
            const index = at.findIndex((time) => time >= tick)
            const previousEnd = ends.get(name)?.[index - 1] ?? 0
            const allowed = Math.max(tick, previousEnd, (at[index - 1] ?? -Infinity) + (throttleMs ?? 0))
            assert.strictEqual(at[index], allowed, `${name} at tick ${tick}`)
          }
        }

        // `on:`: after each signal comes a start, no later than the throttle or a running compute allow.
        for (const source of on) {
          const signals = (ends.get(source) ?? []).filter((_, nth) => nth % 3 === 0)
          for (const time of signals.filter((time) => time < day - 10 * minute)) {
            const index = at.findIndex((start) => start >= time)
            const previousEnd = ends.get(name)?.[index - 1] ?? 0
            const allowed = Math.max(time, previousEnd, (at[index - 1] ?? -Infinity) + (throttleMs ?? 0))
            assert.strictEqual(at[index], allowed, `${name} after a signal of ${source} at ${time}`)
          }
        }
      }
    })
  )
})
