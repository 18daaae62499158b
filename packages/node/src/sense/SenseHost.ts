/**
 * What a sense worker does: it boots the senses of its group and computes them when the daemon asks.
 * A sense that does not boot is listed with its problem, and the others go on (S8). One that computes
 * too long is aborted (S4), one that fails says why; neither harms the next compute. Each can be booted
 * anew, or closed, without disturbing the others.
 *
 * It decides nothing about when to compute and what follows from a signal, and kills nobody: a compute
 * that does not give way is the daemon's to end.
 */
import type { Problem } from "@nerve/core/domain/Problem"
import type { SenseName } from "@nerve/core/domain/Ids"
import {
  type ComputeFailed,
  type ComputeOutcome,
  type ComputeTimeout,
  type SenseBoot,
  type SenseInit,
  SenseUnavailable,
  type SenseWorkerInit,
  type SenseWorkerReady
} from "@nerve/core/wire/SenseRpcs"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as UserError from "../user/UserError.ts"
import type * as UserLog from "../user/UserLog.ts"
import * as MigrationThread from "./MigrationThread.ts"
import * as SenseInstance from "./SenseInstance.ts"

export interface Options {
  /** Takes each log line of user code; its fields carry the sense's name as `sense`. */
  readonly log: (line: UserLog.Line) => void
}

export interface SenseHost {
  /** What to report as ready: each sense, with its problem if it did not boot. */
  readonly ready: SenseWorkerReady
  /** The handlers of `SenseRpcs`. */
  readonly handlers: {
    readonly RunCompute: (payload: {
      readonly sense: SenseName
      readonly recorded?: string | null
    }) => Effect.Effect<ComputeOutcome, ComputeFailed | ComputeTimeout | SenseUnavailable>
    readonly AwaitBoot: (payload: { readonly sense: SenseName }) => Effect.Effect<SenseBoot, SenseUnavailable>
    readonly BootSense: (init: SenseInit) => Effect.Effect<SenseBoot>
    readonly DropSense: (payload: { readonly sense: SenseName }) => Effect.Effect<void>
    readonly SetPeers: (payload: { readonly peers: ReadonlyArray<SenseName> }) => Effect.Effect<void>
  }
}

/**
 * How long a worker's `ready` waits for its senses. A migration may take longer: that sense alone is
 * reported as booting, and the others compute meanwhile. Well below what a worker has to get ready.
 */
const patience = "3 seconds"

/** One sense of this worker, over all its boots. */
interface Slot {
  readonly name: SenseName
  /** Held by a compute until it has given way, so that two never overlap (S5); and by a boot. */
  readonly turn: Semaphore.Semaphore
  current: Life
}

/** From one boot to the next. */
interface Life {
  readonly scope: Scope.Closeable
  readonly booted: Deferred.Deferred<Booted>
}

type Booted =
  | { readonly _tag: "Runs"; readonly instance: SenseInstance.SenseInstance }
  | { readonly _tag: "Broken"; readonly problem: Problem }

/** Boots the senses of a group; their databases are open until the scope closes. Never fails. */
export const make = Effect.fnUntraced(function* (
  init: SenseWorkerInit,
  options: Options
): Effect.fn.Return<SenseHost, never, Scope.Scope> {
  const { workspace } = init
  const scope = yield* Effect.scope
  const migrate = yield* MigrationThread.make
  const slots = new Map<SenseName, Slot>()
  let peers = init.peers

  /** Begins to boot a sense; what it opens is open until the life's scope closes. */
  const begin = Effect.fnUntraced(function* (sense: SenseInit): Effect.fn.Return<Life> {
    const life: Life = { scope: yield* Scope.fork(scope), booted: yield* Deferred.make<Booted>() }
    const boot = SenseInstance.boot({ workspace, sense, peers: () => peers, log: options.log, migrate })
    yield* inOwnScope(boot).pipe(
      Effect.matchCause({
        onSuccess: (instance): Booted => ({ _tag: "Runs", instance }),
        onFailure: (cause): Booted => ({ _tag: "Broken", problem: problemOf(cause, sense.name, workspace) })
      }),
      Effect.flatMap((booted) => Deferred.succeed(life.booted, booted)),
      Scope.provide(life.scope),
      Effect.forkIn(life.scope)
    )
    return life
  })

  const report = (slot: Slot): Effect.Effect<SenseBoot> =>
    Effect.map(Deferred.await(slot.current.booted), (booted) => reportOf(slot.name, booted))

  for (const sense of init.senses) {
    slots.set(sense.name, { name: sense.name, turn: Semaphore.makeUnsafe(1), current: yield* begin(sense) })
  }
  // Side by side: one whose import hangs must not eat the time that the others have to be ready.
  const reports = yield* Effect.forEach(
    [...slots.values()],
    (slot) =>
      Effect.map(
        Effect.timeoutOption(report(slot), patience),
        Option.getOrElse((): SenseBoot => ({ name: slot.name, problem: null, booting: true }))
      ),
    { concurrency: "unbounded" }
  )

  const unknown = (sense: SenseName) => new SenseUnavailable({ sense, problem: null })

  return {
    ready: { senses: reports },
    handlers: {
      RunCompute: ({ recorded, sense }) =>
        Effect.suspend(() => {
          const slot = slots.get(sense)
          if (slot === undefined) return Effect.fail(unknown(sense))
          return Effect.flatMap(
            Effect.suspend(() => Deferred.await(slot.current.booted)),
            (booted): Effect.Effect<ComputeOutcome, ComputeFailed | ComputeTimeout | SenseUnavailable> =>
              booted._tag === "Runs"
                ? booted.instance.compute(recorded)
                : Effect.fail(new SenseUnavailable({ sense, problem: booted.problem }))
          ).pipe(slot.turn.withPermits(1))
        }),
      AwaitBoot: ({ sense }) =>
        Effect.suspend(() => {
          const slot = slots.get(sense)
          return slot === undefined ? Effect.fail(unknown(sense)) : report(slot)
        }),
      BootSense: (sense) =>
        Effect.gen(function* () {
          const slot = slots.get(sense.name)
          if (slot === undefined) {
            const added = { name: sense.name, turn: Semaphore.makeUnsafe(1), current: yield* begin(sense) }
            slots.set(sense.name, added)
            return yield* report(added)
          }
          return yield* Effect.gen(function* () {
            // A migration that is being applied goes on to its end.
            yield* Deferred.await(slot.current.booted)
            yield* Scope.close(slot.current.scope, Exit.void)
            slot.current = yield* begin(sense)
            return yield* report(slot)
          }).pipe(slot.turn.withPermits(1))
        }),
      DropSense: ({ sense }) =>
        Effect.suspend(() => {
          const slot = slots.get(sense)
          if (slot === undefined) return Effect.void
          slots.delete(sense)
          return slot.turn.withPermits(1)(Effect.suspend(() => Scope.close(slot.current.scope, Exit.void)))
        }),
      SetPeers: (payload) => Effect.sync(() => void (peers = payload.peers))
    }
  }
})

const reportOf = (name: SenseName, booted: Booted): SenseBoot => {
  if (booted._tag === "Broken") return { name, problem: booted.problem }
  const lastSignal = booted.instance.lastSignal()
  return { name, problem: null, ...(lastSignal === null ? {} : { lastSignal }) }
}

/** Gives an effect a scope of its own, which closes at once if it fails and else with the one around. */
const inOwnScope = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>): Effect.Effect<A, E, Scope.Scope> =>
  Effect.flatMap(Effect.scope, (outer) =>
    Effect.flatMap(Scope.fork(outer), (scope) =>
      Effect.onError(Scope.provide(effect, scope), (cause) => Scope.close(scope, Exit.failCause(cause)))
    )
  )

/** The problem that a boot failed with; anything else that went wrong becomes one too. */
const problemOf = (cause: Cause.Cause<Problem>, name: SenseName, workspace: string): Problem => {
  const fail = cause.reasons.find(Cause.isFailReason)
  if (fail !== undefined) return fail.error
  const { message, stack } = UserError.describeCause(cause, workspace)
  return {
    code: "boot-failed",
    message: `the sense ${name} did not start: ${message}${stack === null ? "" : ` (${stack.split("\n")[0] ?? ""})`}`,
    file: null,
    hint: ""
  }
}
