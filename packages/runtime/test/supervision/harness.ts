/** A runtime over fake children, and what tests of it look at. */
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import type * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import * as Spawner from "@nerve/runtime/supervision/Spawner"
import type { WorkerError } from "@nerve/runtime/supervision/WorkerError"
import type { WorkerEvent } from "@nerve/runtime/supervision/WorkerEvent"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import * as FakeSpawner from "@nerve/runtime/testing/FakeSpawner"
import { Cause, Effect, Exit, Layer } from "effect"
import { TestClock } from "effect/testing"
import { EchoRpcs, makeProbe, type Probe, program } from "./EchoWorker.ts"

export type Key = "a" | "b" | "c"

export interface Setup {
  readonly respawn?: RespawnPolicy.RespawnPolicy
  readonly shouldRespawn?: (key: Key) => boolean
  readonly stop?: StopPolicy.StopPolicy
  readonly mailbox?: number
  readonly memoryLimit?: number
  readonly memoryHardLimit?: number
  readonly spares?: WorkerRuntime.Options<Key, never>["spares"]
  readonly heartbeat?: WorkerRuntime.HeartbeatOptions | false
  readonly probe?: Probe
  readonly worker?: (key: Key) => WorkerSpec.WorkerSpec
  /** Does what a test wants done at each event, after it was noted. */
  readonly onEvent?: (event: WorkerEvent<Key>) => Effect.Effect<void>
  /** What the runtime takes for the Spawner, made of the fake one. */
  readonly spawner?: (fake: Spawner.Spawner["Service"]) => Spawner.Spawner["Service"]
  readonly onOutputUnsafe?: WorkerRuntime.Options<Key, never>["onOutputUnsafe"]
  /** Runs instead of the echo worker. */
  readonly program?: (info: FakeSpawner.SpawnInfo, probe: Probe) => FakeSpawner.Program
}

export interface Harness {
  readonly runtime: WorkerRuntime.WorkerRuntime<Key, WorkerRuntime.RpcsOf<typeof EchoRpcs>>
  readonly children: FakeSpawner.FakeChildren["Service"]
  readonly probe: Probe
  readonly events: Array<WorkerEvent<Key>>
}

export const setup = (options: Setup, body: (test: Harness) => Effect.Effect<void, unknown>) => {
  const probe = options.probe ?? makeProbe()
  return Effect.scoped(
    Effect.gen(function* () {
      const events: Array<WorkerEvent<Key>> = []
      const runtime = yield* WorkerRuntime.make({
        rpcs: EchoRpcs,
        worker: options.worker ?? (() => WorkerSpec.command("fake")),
        respawn: options.respawn ?? RespawnPolicy.immediately,
        shouldRespawn: options.shouldRespawn,
        stop: options.stop,
        mailbox: options.mailbox,
        heartbeat: options.heartbeat,
        spares: options.spares,
        memoryLimit: options.memoryLimit,
        memoryHardLimit: options.memoryHardLimit,
        rssEvery: "1 second",
        onOutputUnsafe: options.onOutputUnsafe,
        onEvent: (event) =>
          Effect.suspend(() => {
            events.push(event)
            return options.onEvent?.(event) ?? Effect.void
          })
      })
      const children = yield* FakeSpawner.FakeChildren
      yield* body({ runtime, children, probe, events })
    })
  ).pipe(
    Effect.provide(
      Layer.provideMerge(
        Layer.effect(Spawner.Spawner, Effect.map(Spawner.Spawner, options.spawner ?? ((fake) => fake))),
        FakeSpawner.layer((_spec, info) => options.program?.(info, probe) ?? program(probe))
      )
    )
  )
}

/** Lets everything that can happen without time passing happen. */
export const settle = TestClock.adjust(0)

/** A worker that stays when its channel has ended. */
export const staying = (_info: FakeSpawner.SpawnInfo, probe: Probe) => Effect.andThen(program(probe), Effect.never)

export const tags = (events: ReadonlyArray<WorkerEvent<Key>>) => events.map((event) => event._tag)

export const errorTag = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return "success"
  const error = Cause.squash(exit.cause)
  return (error as WorkerError)._tag ?? String(error)
}
