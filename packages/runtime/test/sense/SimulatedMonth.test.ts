/**
 * A month in the life of two hundred senses, on the test's clock: intervals, crons and `on:`, each way to
 * catch up, throttles, computes that take longer than they should, time out, do not give way and lose
 * their worker, and a machine that sleeps twice. What must hold of every start is checked by properties
 * that know nothing of how the schedule works; nothing is compared to a list of examples (S4, S5, M1).
 *
 * `NERVE_SIM_DAYS` sets how many days there are: 30, unless told.
 */
import { assert, describe, it } from "@effect/vitest"
import type { SenseConfig } from "@nerve/core/config/NerveConfig"
import { SenseName } from "@nerve/core/domain/Ids"
import { LATE_MS, MAX_BACKLOG } from "@nerve/core/sense/SenseSchedule"
import * as Timing from "@nerve/core/sense/Timing"
import type { ComputeEvent, TicksDropped } from "@nerve/runtime/sense/SenseEvent"
import { Clock, Cron, Effect } from "effect"
import { TestClock } from "effect/testing"
import { noSignal, sense, settle, signal, start } from "./harness.ts"

const second = 1_000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour
const days = Number(process.env["NERVE_SIM_DAYS"] ?? 30)

/** Two hundred senses in twenty groups; those of a kind differ in how often, how long and how. */
const intervals = [45 * minute, hour, 2 * hour, 4 * hour, 6 * hour, day]
const crons = ["15 */2 * * *", "5 */3 * * *", "0 3 * * *", "30 4 * * 1-5", "0 0 1,15 * *", "15 */6 * * *"]
const catchUps = ["once", "skip", "all"] as const

const group = (nth: number) => `group-${nth % 20}`

const senses: ReadonlyArray<SenseConfig> = Array.from({ length: 200 }, (_, nth) => {
  const name = `sense-${nth}`
  const shared = {
    group: group(nth),
    catchUp: catchUps[nth % 3] ?? "once",
    throttleMs: nth % 7 === 0 ? 70 * minute : null,
    timeoutMs: 80 * minute,
    gracePeriodMs: 5 * minute
  }
  if (nth % 5 === 4) return sense(name, { ...shared, on: [`sense-${nth - 4}`, `sense-${nth - 3}`] })
  return nth % 5 === 3
    ? sense(name, { ...shared, cron: { expression: crons[nth % crons.length] ?? "0 * * * *", timeZone: "UTC" } })
    : sense(name, { ...shared, intervalMs: intervals[nth % intervals.length] ?? hour })
})

/** How long a compute takes; now and then longer than an interval, once in a while for ever. */
const takesMs = (nthSense: number, nth: number): number => {
  if (nthSense % 50 === 17 && nth % 20 === 19) return Number.POSITIVE_INFINITY
  if (nthSense % 4 === 1 && nth % 20 === 19) return 65 * minute
  return (nthSense * 37 + nth * 101) % 9_000
}

interface Start {
  readonly at: number
  endedAt: number
}

describe(`a simulated month of ${senses.length} senses`, () => {
  it.effect("meets every interval, overlaps nothing, respects every throttle, loses no tick and no trigger", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const now = () => clock.currentTimeMillisUnsafe()
      const starts = new Map<string, Array<Start>>(senses.map(({ name }) => [name, []]))
      const running = new Map<string, Start>()
      const overlaps: Array<string> = []
      const dropped = new Map<string, Array<TicksDropped>>(senses.map(({ name }) => [name, []]))
      const ends = new Map<string, Array<ComputeEvent>>(senses.map(({ name }) => [name, []]))
      const began = performance.now()
      const cpuBegan = process.cpuUsage()
      const firstAt = now()

      const { children, pool } = yield* start({
        senses,
        // A month of asking twenty workers every few seconds would be most of what is simulated.
        heartbeat: false,
        compute: ({ nth, sense: name }) => {
          const takes = takesMs(Number(name.slice("sense-".length)), nth)
          const one: Start = { at: now(), endedAt: Number.POSITIVE_INFINITY }
          if (running.has(name)) overlaps.push(`${name} at ${one.at}`)
          running.set(name, one)
          starts.get(name)?.push(one)
          const end = Effect.sync(() => {
            one.endedAt = now()
            if (running.get(name) === one) running.delete(name)
          })
          // The whole program of a killed worker is interrupted: its computes end there.
          return Effect.onExit(
            Number.isFinite(takes) ? Effect.as(Effect.sleep(takes), nth % 3 === 0 ? signal : noSignal) : Effect.never,
            () => end
          )
        },
        onEvent: (event) =>
          Effect.sync(() => {
            if ("durationMs" in event) ends.get(event.sense)?.push(event)
          }),
        onDropped: (one) => dropped.get(one.sense)?.push(one)
      })

      const readyBy = now()
      yield* TestClock.adjust(days * day)
      yield* settle
      const lastAt = now()
      const simulated = Math.round(performance.now() - began)
      const cpu = process.cpuUsage(cpuBegan)
      const computes = [...starts.values()].reduce((sum, all) => sum + all.length, 0)
      console.log(
        `${days} days of ${senses.length} senses: ${computes} computes in ${simulated} ms ` +
          `(${Math.round((cpu.user + cpu.system) / 1_000)} ms of processor time)`
      )

      // --- what must hold of each

      assert.deepStrictEqual(overlaps, [])
      assert.lengthOf(yield* pool.views, senses.length)
      assert.isAbove(children.all().length, 20, "no worker was ever killed")
      const all = [...ends.values()].flat()
      assert.isAbove(all.filter(({ _tag }) => _tag === "ComputeKilled").length, 0)

      for (const config of senses) {
        const { name, throttleMs } = config
        const mine = starts.get(name) ?? []
        const told = ends.get(name) ?? []
        const drops = dropped.get(name) ?? []

        // Each compute that ended was told once, in order, with the time at which it started.
        assert.isAtMost(mine.length - told.length, 1, `${name}: computes that nobody was told of`)
        told.forEach((event, nth) => assert.strictEqual(event.startedAt, mine[nth]?.at, name))

        // Throttle: no two starts closer than it.
        mine.forEach(({ at }, nth) => {
          if (throttleMs !== null && nth > 0) assert.isAtLeast(at - (mine[nth - 1]?.at ?? 0), throttleMs, name)
        })

        // No compute started before it was due; with `skip`, no tick started late.
        for (const { cause, dueAt, startedAt } of told) {
          assert.isAtLeast(startedAt, dueAt, name)
          const isTick = cause._tag === "Interval" || cause._tag === "Cron"
          if (config.catchUp === "skip" && isTick) assert.isAtMost(startedAt - dueAt, LATE_MS, name)
        }

        // Every tick of the interval or cron is on record exactly once: as a compute's, or among the dropped.
        const due = duesOf(config, firstAt, lastAt)
        const ofTicks = told.filter(({ cause }) => cause._tag === "Interval" || cause._tag === "Cron")
        const dropsOfTicks = drops.filter(({ cause }) => cause._tag === "Interval" || cause._tag === "Cron")
        const onRecord = ofTicks.length + dropsOfTicks.reduce((sum, { count }) => sum + count, 0)
        const open = mine.length - told.length
        assert.isAtMost(onRecord, due.length, `${name}: more ticks than the calendar has`)
        // What is running, pending or owed at the end is not on record yet, nor what passed since it was looked.
        const waiting = config.catchUp === "all" ? MAX_BACKLOG + 1 : 1
        const unseen = Math.ceil(hour / (config.intervalMs ?? hour))
        assert.isAtMost(due.length - onRecord, open + waiting + unseen, `${name}: ticks that nobody knows of`)
        const dues = new Set(due)
        for (const { dueAt } of [...ofTicks, ...dropsOfTicks]) {
          assert.isTrue(dues.has(dueAt), `${name}: ${dueAt} is no time of its schedule`)
        }

        // A tick whose time found nothing in its way started then.
        const startedAt = new Set(mine.map(({ at }) => at))
        const waits = told.filter((event) => event.startedAt > event.dueAt)
        const away = awayOf(all.filter((event) => event.group === config.group))
        let inWay = 0
        for (const tick of due.filter((tick) => tick >= readyBy)) {
          while ((mine[inWay + 1]?.at ?? Infinity) < tick) inWay++
          const before = mine[inWay]
          const isFree =
            before === undefined ||
            before.at >= tick ||
            (before.endedAt < tick && (throttleMs === null || before.at + throttleMs <= tick))
          // Another one waited already, and the tick became one with it.
          const isJoined = waits.some((event) => event.dueAt < tick && event.startedAt >= tick)
          if (isFree && !isJoined && !away.some((at) => Math.abs(at - tick) < 2 * minute)) {
            assert.isTrue(startedAt.has(tick), `${name}: nothing was in the way of its tick at ${tick}`)
          }
        }
      }

      // `on:`: each signal is followed by a compute of each dependent that was due then, or is part of one that was.
      for (const config of senses) {
        const onRecord = new Set([
          ...(ends.get(config.name) ?? []).map(({ dueAt }) => dueAt),
          ...(dropped.get(config.name) ?? []).map(({ dueAt }) => dueAt)
        ])
        for (const source of config.on) {
          for (const event of ends.get(source) ?? []) {
            if (event._tag !== "SignalEmitted") continue
            const at = Math.round(event.startedAt + event.durationMs)
            assert.isTrue(
              onRecord.has(at) || at > lastAt - day,
              `${config.name}: the signal of ${source} at ${at} is lost`
            )
          }
        }
      }
    })
  )
})

/** The times at which a sense is due, from its calendar alone. */
const duesOf = (config: SenseConfig, from: number, to: number): ReadonlyArray<number> => {
  const dues: Array<number> = []
  if (config.intervalMs !== null) {
    const ticks = Timing.start(Timing.interval(config.intervalMs), SenseName.make(config.name), from, 0)
    const first = ticks === null ? to + 1 : Timing.nextAt(ticks, 0)
    for (let at = first; at <= to; at += config.intervalMs) dues.push(at)
  }
  if (config.cron !== null) {
    const cron = Cron.parseUnsafe(config.cron.expression, config.cron.timeZone ?? undefined)
    for (let at = Cron.next(cron, from).getTime(); at <= to; at = Cron.next(cron, at).getTime()) dues.push(at)
  }
  return dues
}

/** When a group's worker was killed: it is back after a second or so. */
const awayOf = (events: ReadonlyArray<ComputeEvent>): ReadonlyArray<number> =>
  events
    .filter(({ _tag }) => _tag === "ComputeKilled" || _tag === "ComputeInterrupted")
    .map(({ durationMs, startedAt }) => startedAt + durationMs)
