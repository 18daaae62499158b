/**
 * What a sense worker does: it boots the senses of its group and computes them when the daemon asks.
 * A sense that does not boot is listed with its problem, and the others go on (S8). One that computes
 * too long is aborted (S4), one that fails says why; neither harms the next compute.
 *
 * It decides nothing about when to compute and what follows from a signal, and kills nobody: a compute
 * that does not give way is the daemon's to end.
 */
import * as Sense from "@nerve/core/authoring/Sense"
import type { Problem } from "@nerve/core/domain/Problem"
import type { SenseName } from "@nerve/core/domain/Ids"
import {
  ComputeFailed,
  type ComputeOutcome,
  ComputeTimeout,
  SenseUnavailable,
  type SenseWorkerInit,
  type SenseWorkerReady
} from "@nerve/core/wire/SenseRpcs"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { DatabaseSync } from "node:sqlite"
import * as UserError from "../user/UserError.ts"
import * as UserLog from "../user/UserLog.ts"
import * as UserModule from "../user/UserModule.ts"
import * as Migrations from "./Migrations.ts"
import * as Outcome from "./Outcome.ts"
import * as SenseDatabase from "./SenseDatabase.ts"

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
    }) => Effect.Effect<ComputeOutcome, ComputeFailed | ComputeTimeout | SenseUnavailable>
  }
}

/** Boots the senses of a group; their databases are open until the scope closes. Never fails. */
export const make = Effect.fnUntraced(function* (
  init: SenseWorkerInit,
  options: Options
): Effect.fn.Return<SenseHost, never, Scope.Scope> {
  // Side by side: one whose import hangs must not eat the time that the others have to be ready.
  const booted = yield* Effect.forEach(
    init.senses,
    ({ name, timeoutMs }) => bootOrProblem(init, options, name, timeoutMs),
    { concurrency: "unbounded" }
  )
  const byName = new Map(booted.map((sense) => [sense.name, sense]))
  return {
    ready: { senses: booted.map(({ name, problem }) => ({ name, problem })) },
    handlers: {
      RunCompute: ({ sense }) => {
        const found = byName.get(sense)
        return found?.compute ?? Effect.fail(new SenseUnavailable({ sense, problem: found?.problem ?? null }))
      }
    }
  }
})

/** A sense after its boot: either it can compute, or it has a problem. */
interface Booted {
  readonly name: SenseName
  readonly problem: Problem | null
  readonly compute: Effect.Effect<ComputeOutcome, ComputeFailed | ComputeTimeout> | null
}

/** User code with all that it needs, and the encoder for what it returns. */
interface Runnable {
  readonly run: Effect.Effect<unknown, unknown>
  readonly encode: Outcome.Encoder
}

const bootOrProblem = (
  init: SenseWorkerInit,
  options: Options,
  name: SenseName,
  timeoutMs: number
): Effect.Effect<Booted, never, Scope.Scope> =>
  inOwnScope(boot(init, options, name)).pipe(
    Effect.matchCause({
      onSuccess: (runnable) => ({
        name,
        problem: null,
        compute: makeCompute({ ...runnable, name, timeoutMs, workspace: init.workspace })
      }),
      onFailure: (cause) => ({ name, problem: problemOf(cause, name, init.workspace), compute: null })
    })
  )

/** Config to database to migrations to peers (S1); then the sense can compute. */
const boot = Effect.fnUntraced(function* (
  init: SenseWorkerInit,
  options: Options,
  name: SenseName
): Effect.fn.Return<Runnable, Problem, Scope.Scope> {
  const { workspace } = init
  const file = yield* UserModule.locate(workspace, "senses", name)
  const sense = yield* UserModule.load(file, { workspace, kind: "sense", is: Sense.isSense })
  if (typeof sense.encode !== "function" || sense.compute === undefined) return yield* Effect.fail(foreign(file))
  const database = yield* SenseDatabase.open(workspace, name)
  const guard = yield* SenseDatabase.guard(workspace, name)
  yield* Migrations.run({ database, workspace, folder: `senses/${name}/migrations` })
  const peers = yield* SenseDatabase.makePeers({ workspace, sense: name, senses: init.peers })
  const log: Options["log"] = (line) => options.log({ ...line, fields: { ...line.fields, sense: name } })
  const { compute } = sense
  const run =
    compute._tag === "Effect"
      ? provide(compute.effect, { name, workspace, peers, log, sql: yield* SenseDatabase.client(workspace, name) })
      : runPlain(compute.run, { name, workspace, peers, log, database })
  return { run: Effect.andThen(guard, run), encode: Outcome.makeEncoder(sense) }
})

/**
 * One compute from start to outcome. The permit is held until the compute has given way, so that two
 * of one sense never overlap, not even after an interruption (S5).
 */
const makeCompute = (
  options: Runnable & {
    readonly name: SenseName
    readonly timeoutMs: number
    readonly workspace: string
  }
): NonNullable<Booted["compute"]> => {
  const { encode, name, run, timeoutMs, workspace } = options
  const turn = Semaphore.makeUnsafe(1)
  const failed = ({ message, stack }: UserError.Described) => new ComputeFailed({ sense: name, message, stack })
  return run.pipe(
    Effect.catchCause((cause) => Effect.fail(failed(UserError.describeCause(cause, workspace)))),
    Effect.flatMap((value) => Effect.mapError(encode(value), (message) => failed({ message, stack: null }))),
    Effect.timeoutOrElse({
      duration: timeoutMs,
      orElse: () => Effect.fail(new ComputeTimeout({ sense: name, timeoutMs }))
    }),
    turn.withPermits(1)
  )
}

interface Surroundings {
  readonly name: SenseName
  readonly workspace: string
  readonly peers: SenseDatabase.Peers
  readonly log: Options["log"]
}

const provide = (
  effect: Effect.Effect<unknown, unknown, Sense.Services>,
  options: Surroundings & { readonly sql: Sense.Database["Service"] }
): Effect.Effect<unknown, unknown> => {
  const { log, name, peers, sql, workspace } = options
  return Effect.provideContext(
    effect,
    Context.make(Sense.Database, sql).pipe(
      Context.add(Sense.Peers, { names: peers.names, get: peers.client }),
      Context.add(Sense.Info, { name, workspace }),
      Context.add(Logger.CurrentLoggers, new Set([UserLog.logger(log)]))
    )
  )
}

/**
 * Runs a plain compute. Interruption fires its abort signal and then waits for it: a promise cannot
 * be stopped, only asked.
 */
const runPlain = (
  run: Sense.PlainCompute<unknown>,
  options: Surroundings & { readonly database: DatabaseSync }
): Effect.Effect<unknown, unknown> => {
  const { database, log, name, peers, workspace } = options
  return Effect.callback<unknown, unknown>((resume) => {
    const controller = new AbortController()
    const settled = new Promise<unknown>((resolve) =>
      resolve(
        run({
          name,
          workspace,
          db: database,
          peer: peers.plain,
          signal: controller.signal,
          log: (message, fields = {}) => log(UserLog.line("Info", message, fields))
        })
      )
    )
    settled.then(
      (value) => resume(Effect.succeed(value)),
      (error) => resume(Effect.fail(error))
    )
    return Effect.andThen(
      Effect.sync(() => controller.abort()),
      Effect.promise(() =>
        settled.then(
          () => undefined,
          () => undefined
        )
      )
    )
  }).pipe(
    Effect.onError(() => rollback(database)),
    Effect.tap(() =>
      database.isTransaction
        ? Effect.andThen(rollback(database), Effect.fail("compute left a transaction open; it was rolled back"))
        : Effect.void
    )
  )
}

// The handle outlives the compute: a transaction left open would swallow what the next ones write.
const rollback = (database: DatabaseSync): Effect.Effect<void> =>
  Effect.sync(() => {
    if (database.isTransaction) database.exec("ROLLBACK")
  })

/** Gives an effect a scope of its own, which closes at once if it fails and else with the one around. */
const inOwnScope = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>): Effect.Effect<A, E, Scope.Scope> =>
  Effect.flatMap(Effect.scope, (outer) =>
    Effect.flatMap(Scope.fork(outer), (scope) =>
      Effect.onError(Scope.provide(effect, scope), (cause) => Scope.close(scope, Exit.failCause(cause)))
    )
  )

const foreign = (file: string): Problem => ({
  code: "wrong-shape",
  message: `the sense of ${file} was made by another version of @nerve/core than this nerve works with`,
  file,
  hint: "Install the same version of nerve in the workspace."
})

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
