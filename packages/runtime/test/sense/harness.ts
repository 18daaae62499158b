/**
 * A sense pool over fake workers, and what a test wants to know of it: which computes started when,
 * in which incarnation, and every event in order.
 */
import type { SenseConfig } from "@nerve/core/config/NerveConfig"
import type { SenseName } from "@nerve/core/domain/Ids"
import type { Problem } from "@nerve/core/domain/Problem"
import {
  type ComputeFailed,
  type ComputeOutcome,
  type ComputeTimeout,
  type SenseBoot,
  type SenseInit,
  SenseRpcs,
  type SenseUnavailable,
  SenseWorkerInit
} from "@nerve/core/wire/SenseRpcs"
import * as Worker from "@nerve/runtime/ipc/Worker"
import type { SenseEvent, TicksDropped } from "@nerve/runtime/sense/SenseEvent"
import * as SensePool from "@nerve/runtime/sense/SensePool"
import { SenseWorkers } from "@nerve/runtime/sense/SenseWorkers"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import * as FakeSpawner from "@nerve/runtime/testing/FakeSpawner"
import { Clock, Context, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"

export { sense } from "../../../core/test/config/samples.ts"

export const signal: ComputeOutcome = { _tag: "Signal", value: 1, launches: [] }
export const noSignal: ComputeOutcome = { _tag: "NoSignal", reason: null }

/** One start of a compute in a worker. */
export interface Start {
  readonly sense: string
  readonly group: string
  readonly at: number
  readonly incarnation: number
  /** How often this sense had started before. */
  readonly nth: number
  /** The key of its last signal that the daemon has recorded. */
  readonly recorded: string | null | undefined
}

/** A worker's process. */
export interface Child {
  readonly group: string
  readonly incarnation: number
}

/** What a worker was asked to do, computes aside. */
export type Asked = Child & { readonly channel: unknown } & (
    | { readonly _tag: "Boot"; readonly init: SenseInit }
    | { readonly _tag: "Drop"; readonly sense: string }
    | { readonly _tag: "Peers"; readonly peers: ReadonlyArray<string> }
  )

export type Compute = (start: Start) => Effect.Effect<ComputeOutcome, ComputeFailed | ComputeTimeout | SenseUnavailable>

export interface Setup {
  readonly senses: ReadonlyArray<SenseConfig>
  /** No signal, at once, unless told. */
  readonly compute?: Compute
  /** What an incarnation reports of a sense; no problem unless told. */
  readonly problem?: (sense: string, incarnation: number) => Problem | null
  /** What comes of a boot that is not done when the worker is ready; done unless told. */
  readonly booting?: (sense: SenseName) => Effect.Effect<SenseBoot> | undefined
  /** What an incarnation reports besides. */
  readonly report?: (sense: string) => Partial<SenseBoot>
  /** Key of a sense's last signal in the log; none unless told. */
  readonly recorded?: (sense: string) => Effect.Effect<string | null>
  /** What comes of a boot in a worker that runs; no problem unless told. */
  readonly boot?: (init: SenseInit, child: Child) => Effect.Effect<SenseBoot>
  /** What a worker does with the senses that it starts with, before it is ready. */
  readonly load?: (init: SenseWorkerInit, child: Child) => Effect.Effect<void>
  /** Replaces the whole worker. */
  readonly program?: FakeSpawner.Program
  readonly onEvent?: (event: SenseEvent) => Effect.Effect<void>
  readonly onDropped?: (dropped: TicksDropped) => void
  readonly heartbeat?: false
}

/** Starts a pool in the test's scope and lets it get ready. */
export const start = Effect.fnUntraced(function* (setup: Setup) {
  const starts: Array<Start> = []
  const counts = new Map<string, number>()
  const asked: Array<Asked> = []
  const events: Array<SenseEvent> = []
  const clock = yield* Clock.Clock

  const serve = Effect.gen(function* () {
    const port = yield* Worker.WorkerPort
    const init = yield* Worker.init(SenseWorkerInit)
    const child: Child = { group: init.group, incarnation: port.incarnation }
    if (setup.load !== undefined) yield* setup.load(init, child)
    yield* Worker.serve(
      SenseRpcs,
      {
        RunCompute: ({ recorded, sense: name }) => {
          const nth = counts.get(name) ?? 0
          counts.set(name, nth + 1)
          const start: Start = { ...child, sense: name, at: clock.currentTimeMillisUnsafe(), nth, recorded }
          starts.push(start)
          return setup.compute?.(start) ?? Effect.succeed(noSignal)
        },
        AwaitBoot: ({ sense: name }) => setup.booting?.(name) ?? Effect.succeed({ name, problem: null }),
        BootSense: (init) => {
          asked.push({ ...child, channel: port.channel, _tag: "Boot", init })
          return setup.boot?.(init, child) ?? Effect.succeed({ name: init.name, problem: null })
        },
        DropSense: ({ sense: name }) =>
          Effect.sync(() => void asked.push({ ...child, channel: port.channel, _tag: "Drop", sense: name })),
        SetPeers: ({ peers }) =>
          Effect.sync(() => void asked.push({ ...child, channel: port.channel, _tag: "Peers", peers }))
      },
      {
        info: {
          senses: init.senses.map(({ name }) => ({
            name,
            problem: setup.problem?.(name, port.incarnation) ?? null,
            ...(setup.booting?.(name) === undefined ? {} : { booting: true }),
            ...setup.report?.(name)
          }))
        }
      }
    )
  })

  const spawner = yield* Layer.build(FakeSpawner.layer(() => setup.program ?? serve))
  const pool = yield* SensePool.make({
    config: { senses: setup.senses },
    workspace: "/workspace",
    onEvent: (event) => {
      events.push(event)
      return setup.onEvent?.(event) ?? Effect.void
    },
    ...(setup.recorded === undefined ? {} : { recorded: setup.recorded }),
    onDroppedUnsafe: (one) => setup.onDropped?.(one),
    ...(setup.heartbeat === undefined ? {} : { heartbeat: setup.heartbeat })
  }).pipe(
    Effect.provideContext(
      Context.add(spawner, SenseWorkers, {
        spec: (init) => WorkerSpec.module("worker.js", { args: [init.group] })
      })
    )
  )
  const children = Context.get(spawner, FakeSpawner.FakeChildren)
  // Nobody moves the clock when a test is over: a child that is deaf must not be waited for.
  yield* Effect.addFinalizer(() =>
    Effect.forEach(children.all(), (child) => child.exit({ code: null, signal: "SIGKILL" }), { discard: true })
  )
  yield* settle
  return {
    pool,
    children,
    starts,
    asked,
    /** The process that was asked. */
    childOf: (one: Asked) => children.all().find((child) => child.channel === one.channel),
    events,
    /** The events of one kind, in order. */
    of: <Tag extends SenseEvent["_tag"]>(tag: Tag) =>
      events.filter((event): event is Extract<SenseEvent, { readonly _tag: Tag }> => event._tag === tag),
    startsOf: (name: string) => starts.filter((one) => one.sense === name),
    view: (name: string) =>
      Effect.map(pool.views, (views) => {
        const view = views.find((one) => one.name === name)
        if (view === undefined) throw new Error(`no view of ${name}`)
        return view
      })
  }
})

/**
 * Lets what is under way come to rest: frames cross in microtasks, fibers go on in turns, and none of
 * it takes time on the test's clock.
 */
export const settle: Effect.Effect<void> = Effect.gen(function* () {
  for (let turn = 0; turn < 20; turn++) yield* Effect.yieldNow
})

/** Lets time pass in steps, so that frames cross at about the time at which they were sent. */
export const pass = Effect.fnUntraced(function* (ms: number, step = 100) {
  for (let passed = 0; passed < ms; passed += step) {
    yield* TestClock.adjust(Math.min(step, ms - passed))
    yield* settle
  }
})
