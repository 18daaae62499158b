/** The worker that tests of pools run, and a pool of such workers over fake processes. */
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as Worker from "@nerve/runtime/ipc/Worker"
import type { PoolEvent } from "@nerve/runtime/supervision/PoolEvent"
import * as WorkerPool from "@nerve/runtime/supervision/WorkerPool"
import type { RpcsOf } from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import * as FakeSpawner from "@nerve/runtime/testing/FakeSpawner"
import { Cause, Deferred, Effect, Exit, Schema, Stream } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { TestClock } from "effect/testing"

export class Refused extends Schema.TaggedError<Refused>()("Refused", { why: Schema.String, code: Schema.Int }) {}

export const PoolRpcs = RpcGroup.make(
  Rpc.make("Echo", { payload: { text: Schema.String }, success: Schema.String }),
  /** The incarnation that answers. */
  Rpc.make("Who", { success: Schema.Int }),
  /** Waits until the test opens the gate of that name, or the call is cancelled. */
  Rpc.make("Wait", { payload: { gate: Schema.String }, success: Schema.String }),
  /** Does not hear that it is cancelled. */
  Rpc.make("Deaf", { payload: { gate: Schema.String }, success: Schema.String }),
  Rpc.make("Refuse", { payload: { why: Schema.String }, error: Refused }),
  Rpc.make("Die", { payload: { why: Schema.String } }),
  Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, error: Refused, stream: true }),
  /** Items, each after so many milliseconds. */
  Rpc.make("Slow", { payload: { items: Schema.Int, ms: Schema.Int }, success: Schema.Int, stream: true }),
  /** Items at once, one by one, then nothing until the gate opens. */
  Rpc.make("Parts", { payload: { items: Schema.Int, gate: Schema.String }, success: Schema.Int, stream: true }),
  /** One item, then nothing until the gate opens. */
  Rpc.make("Stall", { payload: { gate: Schema.String }, success: Schema.Int, stream: true })
)

/** What the workers of a test did, by all of them. */
export class Probe {
  /** Texts and gates of the calls that were begun, in order. */
  readonly begun: Array<string> = []
  /** Gates whose call was interrupted in the worker. */
  readonly interrupted: Array<string> = []
  pulled = 0
  readonly #gates = new Map<string, Deferred.Deferred<void>>()

  gate(name: string): Deferred.Deferred<void> {
    const gate = this.#gates.get(name) ?? Deferred.makeUnsafe<void>()
    this.#gates.set(name, gate)
    return gate
  }

  open(...names: ReadonlyArray<string>): Effect.Effect<void> {
    return Effect.forEach(names, (name) => Deferred.succeed(this.gate(name), undefined), { discard: true })
  }
}

export const program = (probe: Probe, info: FakeSpawner.SpawnInfo) => {
  const begin = (name: string) =>
    Effect.sync(() => {
      probe.begun.push(name)
    })
  const wait = (gate: string) =>
    Effect.andThen(begin(gate), Deferred.await(probe.gate(gate))).pipe(
      Effect.as(gate),
      Effect.onInterrupt(() =>
        Effect.sync(() => {
          probe.interrupted.push(gate)
        })
      )
    )
  return Worker.serve(PoolRpcs, {
    Echo: ({ text }) => Effect.as(begin(text), text),
    Who: () => Effect.succeed(info.incarnation),
    Wait: ({ gate }) => wait(gate),
    Deaf: ({ gate }) => Effect.uninterruptible(wait(gate)),
    Refuse: ({ why }) => Effect.fail(new Refused({ why, code: 42 })),
    Die: ({ why }) => Effect.die(Object.assign(new RangeError(why), { attempt: 3 })),
    Count: ({ to }) =>
      to < 0
        ? Stream.fail(new Refused({ why: "negative", code: to }))
        : Stream.range(1, to).pipe(
            Stream.rechunk(1),
            Stream.tap(() =>
              Effect.sync(() => {
                probe.pulled += 1
              })
            )
          ),
    Slow: ({ items, ms }) =>
      Stream.range(1, items).pipe(
        Stream.rechunk(1),
        Stream.mapEffect((n) => Effect.delay(Effect.succeed(n), ms))
      ),
    Parts: ({ gate, items }) =>
      Stream.concat(Stream.rechunk(Stream.range(1, items), 1), Stream.fromEffect(Effect.as(wait(gate), items + 1))),
    Stall: ({ gate }) => Stream.concat(Stream.succeed(1), Stream.fromEffect(Effect.as(wait(gate), 2)))
  })
}

export type Pool = WorkerPool.WorkerPool<RpcsOf<typeof PoolRpcs>>

export interface Test {
  readonly pool: Pool
  readonly children: FakeSpawner.FakeChildren["Service"]
  readonly probe: Probe
  readonly events: Array<PoolEvent>
}

export interface Setup extends Partial<Omit<WorkerPool.Options<RpcsOf<typeof PoolRpcs>>, "rpcs">> {
  /** Runs instead of the worker above. */
  readonly program?: (info: FakeSpawner.SpawnInfo, probe: Probe) => FakeSpawner.Program
}

/** A pool of two, unless told otherwise, that has had the time to boot. */
export const setup = (options: Setup, body: (test: Test) => Effect.Effect<void, unknown>) => {
  const probe = new Probe()
  const { program: other, ...settings } = options
  return Effect.scoped(
    Effect.gen(function* () {
      const events: Array<PoolEvent> = []
      const pool = yield* WorkerPool.make({
        rpcs: PoolRpcs,
        worker: () => WorkerSpec.command("fake"),
        size: 2,
        respawn: RespawnPolicy.immediately,
        onEvent: (event) => Effect.sync(() => void events.push(event)),
        ...settings
      })
      const children = yield* FakeSpawner.FakeChildren
      yield* settle
      yield* body({ pool, children, probe, events })
    })
  ).pipe(Effect.provide(FakeSpawner.layer((_spec, info) => other?.(info, probe) ?? program(probe, info))))
}

/** Lets everything happen that can happen without time passing. */
export const settle = TestClock.adjust(0)

/** Starts a call and lets it get as far as it can. */
export const begin = <A, E>(call: Effect.Effect<A, E>) => Effect.tap(Effect.forkChild(call), () => settle)

export const errorTag = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return "success"
  const error = Cause.squash(exit.cause)
  return typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : String(error)
}

export const tags = (events: ReadonlyArray<PoolEvent>) => events.map((event) => event._tag)
