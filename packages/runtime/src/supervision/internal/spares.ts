/**
 * Keeps spares: booted processes without a key, so that a start costs a message and not a boot. To the
 * workers it looks like the `Spawner` that it is made of: a spawn takes a spare where one is warm and fits,
 * and is an ordinary one otherwise.
 *
 * One fiber per place: start a spare, wait until it is taken or dies, start the next. A spare that is taken
 * belongs to the incarnation that took it.
 */
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Child, Spare, SpareProfile, Spawner, SpawnContext } from "../Spawner.ts"
import type { WorkerMetrics } from "../WorkerMetrics.ts"
import type { WorkerSpec } from "../WorkerSpec.ts"
import * as monotonic from "./monotonic.ts"

/** As `WorkerRuntime` and `WorkerPool` take it: how many, or how many and of which kind. */
export type Options =
  | number
  | {
      readonly count: number
      /** As in `NodeLimits`: only workers with the same heap can take one. */
      readonly heapSizeMb?: number | undefined
      /** The bundled worker that they are of. Without it, spares run any module that is not bundled. */
      readonly module?: URL | string | undefined
    }

const profileOf = ({ heapSizeMb, module }: Exclude<Options, number>): SpareProfile => ({
  heapSizeMb,
  module: module === undefined ? undefined : String(module)
})

export interface SparesInfo {
  /** How many there are to be. */
  readonly wanted: number
  readonly booting: number
  /** Booted, and waiting for a key. */
  readonly warm: number
  /** Taken so far. */
  readonly used: number
  /** Ended before they were taken, or never booted. */
  readonly died: number
}

/** From the spawn until it is warm. */
const bootTimeoutMs = 10_000

/**
 * After one was taken, how long its successor waits: the worker that it has become is answering its first call, and
 * a boot beside it would take half of the machine.
 */
const refillAfterMs = 200

/** They are wanted without end, and nobody waits for one: a fault of the machine is not met by a storm of boots. */
const policy = RespawnPolicy.resetAfter("1 minute")(RespawnPolicy.exponential({ initial: "1 second", max: "1 minute" }))

/** A spare, from its start until it is taken or has died. */
interface Held {
  /** Closing it kills the process. */
  readonly scope: Scope.Closeable
  readonly taken: Deferred.Deferred<void>
  /** Set when it is warm. */
  spare: Spare | undefined
  isTaken: boolean
  /** The end of what it wrote. */
  tail: string
}

const close = (scope: Scope.Closeable) => Scope.close(scope, Exit.void)

export interface Spares {
  readonly spawner: Spawner["Service"]
  readonly info: () => SparesInfo
}

/** The spawner, with as many spares behind it. They live in the scope. */
export const make = Effect.fnUntraced(function* (
  spawner: Spawner["Service"],
  options: Options | undefined,
  metrics: WorkerMetrics
): Effect.fn.Return<Spares, never, Scope.Scope> {
  const kind = typeof options === "object" ? options : { count: options ?? 0 }
  const profile = profileOf(kind)
  const wanted = Math.max(0, Math.floor(kind.count))
  const { spares } = spawner
  const shelf: Array<Held> = []
  let [booting, used, died] = [0, 0, 0]
  const info = () => ({ wanted: spares === undefined ? 0 : wanted, booting, warm: shelf.length, used, died })
  if (spares === undefined || wanted === 0) return { spawner, info }

  const nowMs = monotonic.of(yield* Clock.Clock)
  const counted = () => metrics.spares(booting, shelf.length)
  yield* Effect.addFinalizer(() => Effect.sync(() => metrics.spares(0, 0)))

  // --- one place ---------------------------------------------------------------------------------

  /** Boots one and waits until it is warm; undefined when it is not. */
  const boot = (one: Held) =>
    Effect.gen(function* () {
      const line = (_stream: "stdout" | "stderr", text: string) => {
        one.tail = `${one.tail}${text}\n`.slice(-2048)
      }
      const spare = yield* Scope.provide(spares.spawn(profile, { line }), one.scope)
      const isWarm = yield* Effect.raceFirst(Effect.as(spare.warm, true), Effect.as(spare.exit, false)).pipe(
        Effect.timeoutOrElse({ duration: bootTimeoutMs, orElse: () => Effect.succeed(false) })
      )
      return isWarm ? spare : undefined
    }).pipe(Effect.catchCause((cause) => Effect.sync(() => void (one.tail += Cause.pretty(cause)))))

  const booted = (one: Held) =>
    Effect.suspend(() => {
      booting += 1
      counted()
      const done = Effect.sync(() => {
        booting -= 1
        counted()
      })
      return Effect.ensuring(boot(one), done)
    })

  /** Waits on the shelf until it is taken or dies. */
  const wait = (one: Held, spare: Spare) =>
    Effect.suspend(() => {
      one.spare = spare
      shelf.push(one)
      counted()
      const leave = Effect.sync(() => {
        const at = shelf.indexOf(one)
        if (at !== -1) shelf.splice(at, 1)
        counted()
      })
      return Effect.ensuring(Effect.raceFirst(Deferred.await(one.taken), Effect.asVoid(spare.exit)), leave)
    })

  /** One spare, from its start until it is taken (null) or has died (how long it was warm). */
  const live = Effect.fnUntraced(function* (one: Held) {
    const spare = yield* booted(one)
    const warmAt = nowMs()
    if (spare !== undefined) yield* wait(one, spare)
    if (one.isTaken) return null
    died += 1
    metrics.spareDied()
    yield* Effect.annotateLogs(Effect.logWarning("a spare worker died before it was needed"), { output: one.tail })
    return spare === undefined ? 0 : nowMs() - warmAt
  })

  /** Whatever ends it, a spare that nobody took is killed. */
  const life = Effect.suspend(() => {
    const scope = Scope.makeUnsafe()
    const one: Held = { scope, taken: Deferred.makeUnsafe(), spare: undefined, isTaken: false, tail: "" }
    return Effect.onExit(live(one), () => (one.isTaken ? Effect.void : close(scope)))
  })

  const place = Effect.gen(function* () {
    const decide = yield* RespawnPolicy.toDecide(policy)
    for (;;) {
      const uptimeMs = yield* life
      if (uptimeMs === null) {
        yield* Effect.sleep(refillAfterMs)
        continue
      }
      const decision = yield* decide(nowMs(), { exit: null, uptimeMs })
      if (decision._tag === "GiveUp") return
      yield* Effect.sleep(decision.delayMs)
    }
  })
  for (let n = 0; n < wanted; n++) yield* Effect.forkScoped(place)

  // --- taking one --------------------------------------------------------------------------------

  const take = (): Held | undefined => {
    const one = shelf.shift()
    if (one === undefined) return undefined
    one.isTaken = true
    Deferred.doneUnsafe(one.taken, Effect.void)
    used += 1
    metrics.spareUsed()
    return one
  }

  /** One that cannot be assigned is gone in that moment; the next may not be. */
  const assigned = (
    spec: WorkerSpec,
    context: SpawnContext
  ): Effect.Effect<{ readonly child: Child; readonly scope: Scope.Closeable } | undefined> =>
    Effect.suspend(() => {
      const { scope, spare } = take() ?? {}
      if (scope === undefined || spare === undefined) return Effect.succeed(undefined)
      return spare.assign(spec, context).pipe(
        Effect.map((child) => ({ child, scope })),
        Effect.catchCause(() => Effect.andThen(close(scope), assigned(spec, context)))
      )
    })

  const spawn: Spawner["Service"]["spawn"] = (spec, context) =>
    Effect.suspend(() =>
      shelf.length === 0 || !spares.fits(spec, profile)
        ? spawner.spawn(spec, context)
        : Effect.acquireRelease(assigned(spec, context), (taken) =>
            taken === undefined ? Effect.void : close(taken.scope)
          ).pipe(
            Effect.flatMap((taken) =>
              taken === undefined ? spawner.spawn(spec, context) : Effect.succeed(taken.child)
            )
          )
    )

  return { spawner: { ...spawner, spawn }, info }
})
