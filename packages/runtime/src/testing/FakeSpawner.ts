/**
 * A Spawner whose children are Effect programs: the real `Worker.serve` runs in them, over memory. It
 * has no clock, policy or restarts in it, so what a test sees is the supervisor's doing.
 *
 * A child is mute once it is dying, as a killed process is. It ends when its program ends (exit code
 * 0), fails or dies (1), or is killed.
 */
import type { WorkerExit } from "@nerve/core/domain/WorkerExit"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import * as Worker from "../ipc/Worker.ts"
import {
  type Child,
  type OutputSink,
  type Signal,
  type Spare,
  type Spares,
  type SpawnContext,
  SpawnFailed,
  Spawner
} from "../supervision/Spawner.ts"
import type { WorkerSpec } from "../supervision/WorkerSpec.ts"
import * as MemoryChannel from "./MemoryChannel.ts"

/** What runs in a fake child. Give `Effect.never` for one that never gets ready. */
export type Program = Worker.Program

/** A fake child, as a test sees it. */
export interface FakeChild {
  readonly key: string
  readonly incarnation: number
  readonly pid: number
  readonly spec: WorkerSpec
  /** The child's end of the channel. */
  readonly channel: MemoryChannel.MemoryChannel
  /** The supervisor's end. */
  readonly parentChannel: MemoryChannel.MemoryChannel
  readonly output: OutputSink
  /** Sets its resident memory, in bytes, as the supervisor sees it; it has none before. */
  readonly setMemory: (bytes: number) => void
  /** Signals it was sent while it lived, in order. */
  readonly signals: ReadonlyArray<Signal>
  /** Ends it, as if by itself; no-op when it has ended. */
  readonly exit: (exit: WorkerExit) => Effect.Effect<void>
  /** Null while it lives. */
  readonly exited: () => WorkerExit | null
}

/** A fake spare, as a test sees it. */
export interface FakeSpare {
  readonly pid: number
  readonly heapSizeMb: number | undefined
  /** Whether it is a child by now. */
  readonly isAssigned: () => boolean
  /** Ends it before it is assigned; no-op otherwise. */
  readonly exit: (exit: WorkerExit) => Effect.Effect<void>
  /** Null while it lives, and when it is a child. */
  readonly exited: () => WorkerExit | null
}

/** What becomes of spares that are started: they get warm, never do, cannot be started, cannot be assigned. */
export type SpareMood = "warm" | "cold" | "failing" | "deaf"

/** What a test holds to look at and meddle with the children. */
export class FakeChildren extends Context.Service<
  FakeChildren,
  {
    /** All that were spawned, in order. */
    readonly all: () => ReadonlyArray<FakeChild>
    /** All spares that were started, in order, those that are children by now among them. */
    readonly spares: () => ReadonlyArray<FakeSpare>
    readonly setSpareMood: (mood: SpareMood) => void
    /** The living child of a key; a defect when there is none. */
    readonly living: (key: string) => FakeChild
    /** The next spawns of this key fail, until told otherwise. */
    readonly failSpawns: (key: string, fail: boolean) => void
    /** Children of this key ignore SIGTERM and the polite stop, until told otherwise. */
    readonly stubborn: (key: string, stubborn: boolean) => void
  }
>()("@nerve/runtime/testing/FakeSpawner/FakeChildren") {}

export interface SpawnInfo {
  readonly key: string
  readonly incarnation: number
  readonly init: Schema.Json
}

/** A Spawner that runs `program` for each spec, and the children for the test to meddle with. */
export const layer = (program: (spec: WorkerSpec, info: SpawnInfo) => Program): Layer.Layer<Spawner | FakeChildren> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const context = yield* Effect.context<never>()
      const children: Array<FakeChild> = []
      const failing = new Set<string>()
      const stubborn = new Set<string>()
      let nextPid = 1000

      const allSpares: Array<FakeSpare> = []
      let spareMood: SpareMood = "warm"

      const spawn = Effect.fnUntraced(function* (spec: WorkerSpec, options: SpawnContext) {
        const child = yield* start(spec, options, nextPid++)
        yield* Effect.addFinalizer(() => child.kill("SIGKILL"))
        return child
      })

      const start = Effect.fnUntraced(function* (spec: WorkerSpec, options: SpawnContext, pid: number) {
        if (failing.has(options.key)) {
          return yield* new SpawnFailed({ message: "the test says so", cause: undefined })
        }
        const { parent, worker } = MemoryChannel.makePairUnsafe()
        const ended = yield* Deferred.make<WorkerExit>()
        const signals: Array<Signal> = []
        let exited: WorkerExit | null = null
        let memory: number | undefined

        const end = (exit: WorkerExit) => {
          if (exited !== null) return
          exited = exit
          // Mute first: nothing that the program does while it unwinds reaches the parent.
          worker.endUnsafe({ _tag: "Closed" })
          parent.endUnsafe({ _tag: "Closed" })
          fiber.interruptUnsafe()
          Deferred.doneUnsafe(ended, Effect.succeed(exit))
        }

        const info = { key: options.key, incarnation: options.incarnation, init: spec.options.init ?? null }
        const fiber: Fiber.Fiber<unknown, unknown> = Effect.runForkWith(context)(
          Effect.provideService(Effect.scoped(Effect.suspend(() => program(spec, info))), Worker.WorkerPort, {
            channel: worker,
            ...info
          })
        )
        fiber.addObserver((exit) => {
          if (Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)) {
            options.output.line("stderr", Cause.pretty(exit.cause))
            end({ code: 1, signal: null })
          } else {
            end({ code: 0, signal: null })
          }
        })

        const kill = (signal: Signal) =>
          Effect.sync(() => {
            if (exited !== null) return false
            signals.push(signal)
            if (signal === "SIGKILL" || (signal === "SIGTERM" && !stubborn.has(options.key)))
              end({ code: null, signal })
            return true
          })

        children.push({
          key: options.key,
          incarnation: options.incarnation,
          pid,
          spec,
          channel: worker,
          parentChannel: parent,
          output: options.output,
          setMemory: (bytes) => {
            memory = bytes
          },
          signals,
          exit: (exit) => Effect.sync(() => end(exit)),
          exited: () => exited
        })
        return {
          pid,
          channel: deafToStop(parent, () => stubborn.has(options.key)),
          exit: Deferred.await(ended),
          memory: Effect.suspend(() => (memory === undefined ? Effect.fail("not set") : Effect.succeed(memory))),
          kill
        } satisfies Child
      })

      const spawnSpare: Spares["spawn"] = Effect.fnUntraced(function* ({ heapSizeMb }) {
        if (spareMood === "failing") return yield* new SpawnFailed({ message: "the test says so", cause: undefined })
        const mood = spareMood
        const pid = nextPid++
        const ended = Deferred.makeUnsafe<WorkerExit>()
        let exited: WorkerExit | null = null
        let child: Child | undefined
        const end = (exit: WorkerExit) => {
          if (exited !== null || child !== undefined) return
          exited = exit
          Deferred.doneUnsafe(ended, Effect.succeed(exit))
        }
        yield* Effect.addFinalizer(
          () => child?.kill("SIGKILL") ?? Effect.sync(() => end({ code: null, signal: "SIGKILL" }))
        )
        allSpares.push({
          pid,
          heapSizeMb,
          isAssigned: () => child !== undefined,
          exit: (exit) => Effect.sync(() => end(exit)),
          exited: () => exited
        })
        return {
          pid,
          warm: mood === "cold" ? Effect.never : Effect.void,
          exit: Deferred.await(ended),
          assign: Effect.fnUntraced(function* (spec, options) {
            if (mood === "deaf") return yield* new SpawnFailed({ message: "it is deaf", cause: undefined })
            child = yield* start(spec, options, pid)
            return child
          })
        } satisfies Spare
      })

      const spares: Spares = {
        spawn: spawnSpare,
        fits: (spec, { heapSizeMb }) =>
          spec._tag === "Module" && spec.limits.heapSizeMb === heapSizeMb && spec.limits.permissions === undefined
      }

      return Context.mergeAll(
        Context.make(Spawner, { spawn, spares }),
        Context.make(FakeChildren, {
          all: () => children,
          spares: () => allSpares,
          setSpareMood: (mood) => {
            spareMood = mood
          },
          living: (key) => {
            const child = children.findLast((one) => one.key === key && one.exited() === null)
            if (child === undefined) throw new Error(`no living child of ${key}`)
            return child
          },
          failSpawns: (key, fail) => {
            if (fail) failing.add(key)
            else failing.delete(key)
          },
          stubborn: (key, on) => {
            if (on) stubborn.add(key)
            else stubborn.delete(key)
          }
        })
      )
    })
  )

/** A stubborn child does not hear the polite stop either. */
const deafToStop = (channel: MemoryChannel.MemoryChannel, stubborn: () => boolean): MemoryChannel.MemoryChannel => ({
  ...channel,
  sendUnsafe: (frame) => {
    const isStop = typeof frame === "object" && frame !== null && "t" in frame && frame.t === "stop"
    return isStop && stubborn() ? "sent" : channel.sendUnsafe(frame)
  }
})
