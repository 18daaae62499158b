/**
 * One sense in its worker: booted from its module, its database and its migrations, then computed again and
 * again. A compute is one transaction on the sense's database: rows, state and signal are saved together
 * when it ends well, and nothing is when it throws, fails, is refused, runs too long, or dies.
 */
import * as Sense from "@nerve/core/authoring/Sense"
import type { Problem } from "@nerve/core/domain/Problem"
import type { SenseName } from "@nerve/core/domain/Ids"
import {
  ComputeFailed,
  type ComputeOutcome,
  ComputeTimeout,
  type SenseInit,
  type SenseWorkerInit
} from "@nerve/core/wire/SenseRpcs"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import type * as Schema from "effect/Schema"
import type { Scope } from "effect/Scope"
import { join } from "node:path"
import type { DatabaseSync } from "node:sqlite"
import * as UserError from "../user/UserError.ts"
import * as UserLog from "../user/UserLog.ts"
import * as UserModule from "../user/UserModule.ts"
import * as Migrations from "./Migrations.ts"
import type { Apply } from "./MigrationThread.ts"
import * as Outcome from "./Outcome.ts"
import * as SenseConsole from "./SenseConsole.ts"
import * as SenseDatabase from "./SenseDatabase.ts"
import * as SenseRecord from "./SenseRecord.ts"
import * as SenseSqlClient from "./SenseSqlClient.ts"
import * as SenseState from "./SenseState.ts"

export interface Options extends Pick<SenseWorkerInit, "workspace"> {
  readonly sense: SenseInit
  /** Whose databases it can read. */
  readonly peers: () => ReadonlyArray<string>
  /** Takes its log lines; their fields carry its name. */
  readonly log: SenseConsole.Log
  readonly migrate: Apply
}

export interface SenseInstance {
  /** Key of the last signal in its database; null when there was none yet. */
  readonly lastSignal: () => string | null
  /**
   * One compute from start to outcome, of which one may run at a time. `recorded` is the key of its last
   * signal in the log: where the database holds another one, that is the outcome. Undefined: never mind.
   */
  readonly compute: (
    recorded: string | null | undefined
  ) => Effect.Effect<ComputeOutcome, ComputeFailed | ComputeTimeout>
}

/** Its module, then `open`. */
export const boot = Effect.fnUntraced(function* (options: Options): Effect.fn.Return<SenseInstance, Problem, Scope> {
  const { sense: init, workspace } = options
  const file = yield* UserModule.locate(workspace, "senses", init.name)
  const sense = yield* UserModule.load(file, { workspace, kind: "sense", is: Sense.isSense, version: init.version })
  if (!isComplete(sense)) return yield* Effect.fail(foreign(file))
  return yield* open(sense, file, options)
})

/** Parameters to database to migrations to peers (S1). The database is open until the scope closes. */
export const open = Effect.fnUntraced(function* (
  sense: Sense.Sense<unknown>,
  file: string,
  options: Options
): Effect.fn.Return<SenseInstance, Problem, Scope> {
  const { migrate, sense: init, workspace } = options
  const { name } = init
  const params = yield* decodeParams(sense, init)
  const path = init.database ?? join(workspace, SenseDatabase.fileOf(name))
  const database = yield* SenseDatabase.openFile(path, SenseDatabase.fileOf(name))
  const guard = yield* SenseDatabase.guard(path, SenseDatabase.fileOf(name))
  const log: SenseConsole.Log = (line) => options.log({ ...line, fields: { ...line.fields, sense: name } })
  yield* Migrations.run({
    database,
    workspace,
    folder: `senses/${name}/migrations`,
    apply: (migration) => telling(log, migration.name, migrate(path, migration))
  })
  yield* Effect.try({ try: () => SenseRecord.prepare(database), catch: (error) => unprepared(name, error) })
  yield* SenseState.check(database, sense.state, name, file)
  const peers = yield* SenseDatabase.makePeers({ workspace, sense: name, senses: options.peers })
  const sql = yield* SenseSqlClient.make(database)
  const services = Context.make(Sense.Database, sql).pipe(
    Context.add(Sense.Peers, {
      get: peers.client,
      of: (peer, type) => Effect.sync(() => peers.typed(peer, type)),
      get names() {
        return peers.names
      }
    }),
    Context.add(Sense.Info, { name, workspace }),
    Context.add(Logger.CurrentLoggers, new Set([UserLog.logger(log)]))
  )
  const peer: Sense.PeerOf = <A, S, T>(other: string, type?: Sense.Sense<A, S, T>) =>
    // The overloads of `PeerOf` say what comes of each; one function for both cannot.
    (type === undefined ? peers.plain(other) : peers.typed(other, type)) as Sense.Peer<A, S, T>
  const context = (session: SenseState.Session, signal: AbortSignal): Sense.ComputeContext<unknown, unknown> => ({
    name,
    workspace,
    params,
    state: session.state,
    db: database,
    peer,
    signal,
    log: (message, fields = {}) => log(UserLog.line("Info", message, fields))
  })
  const { compute } = sense
  const run = (session: SenseState.Session): Effect.Effect<unknown, unknown> => {
    const effect =
      compute._tag === "Effect" ? compute.effect : runFunction(compute.run, (signal) => context(session, signal))
    return SenseConsole.within(log, Effect.provideContext(effect, services))
  }
  const attempt = transaction({ database, guard, encode: Outcome.makeEncoder(sense), sense, run })
  return {
    lastSignal: () => SenseRecord.readKey(database),
    compute: (recorded) =>
      Effect.suspend(() => {
        const undelivered = recorded === undefined ? null : lookFor(database, recorded)
        return undelivered === null ? bounded(attempt, { ...init, workspace }) : Effect.succeed(undelivered)
      })
  }
})

/** The last signal, when it is another than the one that was recorded. */
const lookFor = (database: DatabaseSync, recorded: string | null): ComputeOutcome | null => {
  const key = SenseRecord.readKey(database)
  const saved = key === null || key === recorded ? null : SenseRecord.readSignal(database)
  return saved === null ? null : { _tag: "Signal", ...saved }
}

/** Runs a compute within a transaction, and saves what came of it there. */
const transaction = (options: {
  readonly database: DatabaseSync
  readonly guard: Effect.Effect<void, string>
  readonly encode: Outcome.Encoder
  readonly sense: Sense.Sense<unknown>
  readonly run: (session: SenseState.Session) => Effect.Effect<unknown, unknown>
}): Effect.Effect<ComputeOutcome, unknown> => {
  const { database, encode, guard, run, sense } = options
  const save = (outcome: ComputeOutcome, state: Schema.Json | undefined, now: number): ComputeOutcome => {
    if (!database.isTransaction) throw new Error(`compute ended the transaction that it runs in: ${oneTransaction}`)
    if (state !== undefined) SenseRecord.writeState(database, state, now)
    const saved =
      outcome._tag === "Signal" ? { ...outcome, key: SenseRecord.writeSignal(database, outcome, now) } : outcome
    database.exec("COMMIT")
    return saved
  }
  return Effect.gen(function* () {
    yield* guard
    yield* Effect.sync(() => database.exec("BEGIN"))
    const session = SenseState.open(database, sense.state)
    const outcome = yield* Effect.flatMap(run(session), encode)
    const now = yield* Clock.currentTimeMillis
    return yield* Effect.sync(() => save(outcome, session.changed(), now))
  }).pipe(Effect.onError(() => rollback(database)))
}

const oneTransaction = "leave out BEGIN, COMMIT and ROLLBACK, for a compute is one transaction. SAVEPOINT is allowed"

/** With the soft timeout, and errors in the words of the wire. */
const bounded = (
  attempt: Effect.Effect<ComputeOutcome, unknown>,
  { name, timeoutMs, workspace }: { readonly name: SenseName; readonly timeoutMs: number; readonly workspace: string }
): Effect.Effect<ComputeOutcome, ComputeFailed | ComputeTimeout> =>
  attempt.pipe(
    Effect.catchCause((cause) => {
      const { message, stack } = UserError.describeCause(cause, workspace)
      const isNested = message.includes("cannot start a transaction within a transaction")
      return Effect.fail(
        new ComputeFailed({ sense: name, message: isNested ? `${message}: ${oneTransaction}` : message, stack })
      )
    }),
    Effect.timeoutOrElse({
      duration: timeoutMs,
      orElse: () => Effect.fail(new ComputeTimeout({ sense: name, timeoutMs }))
    })
  )

/**
 * Runs a compute that is a function, whatever it returns. Interruption fires its abort signal and then waits
 * for it: a promise cannot be stopped, only asked.
 */
const runFunction = (
  compute: (context: Sense.ComputeContext<unknown, unknown>) => unknown,
  context: (signal: AbortSignal) => Sense.ComputeContext<unknown, unknown>
): Effect.Effect<unknown, unknown, Sense.Services> =>
  Effect.suspend(() => {
    const controller = new AbortController()
    const abort = Effect.sync(() => controller.abort())
    return Effect.sync(() => compute(context(controller.signal))).pipe(
      Effect.flatMap((returned): Effect.Effect<unknown, unknown, Sense.Services> => {
        // An Effect that a user's function returns requires what its type says: the services of a sense.
        if (Effect.isEffect(returned)) return returned as Effect.Effect<unknown, unknown, Sense.Services>
        return returned instanceof Promise ? settling(returned, abort) : Effect.succeed(returned)
      }),
      Effect.onInterrupt(() => abort)
    )
  })

const settling = (promise: Promise<unknown>, abort: Effect.Effect<void>): Effect.Effect<unknown, unknown> =>
  Effect.callback((resume) => {
    promise.then(
      (value) => resume(Effect.succeed(value)),
      (error) => resume(Effect.fail(error))
    )
    const given = promise.then(
      () => undefined,
      () => undefined
    )
    return Effect.andThen(
      abort,
      Effect.promise(() => given)
    )
  })

// The handle outlives the compute: a transaction left open would swallow what the next ones write.
const rollback = (database: DatabaseSync): Effect.Effect<void> =>
  Effect.sync(() => {
    if (database.isTransaction) database.exec("ROLLBACK")
  })

/** Says what a sense is waiting for, when it takes longer than people expect. */
const telling = (
  log: SenseConsole.Log,
  name: string,
  apply: Effect.Effect<void, string>
): Effect.Effect<void, string> =>
  Effect.gen(function* () {
    const slow = yield* Effect.sleep("1 second").pipe(
      Effect.andThen(Effect.sync(() => log(UserLog.line("Info", `applying migration ${name}`, {})))),
      Effect.as(true),
      Effect.forkScoped
    )
    const [took] = yield* Effect.timed(apply)
    if (slow.pollUnsafe() === undefined) return
    log(UserLog.line("Info", `applied migration ${name} in ${Duration.format(took)}`, {}))
  }).pipe(Effect.scoped)

const decodeParams = (sense: Sense.Sense<unknown>, { name, params = {} }: SenseInit): Effect.Effect<unknown, Problem> =>
  Effect.try({
    try: () => (sense.params === null ? params : sense.params(params)),
    catch: (error): Problem => ({
      code: "params-invalid",
      message: `\`params\` of sense ${name} do not fit its schema: ${UserError.inOneLine(error)}`,
      file: "nerve.yaml",
      hint: `See senses.${name}.params in nerve.yaml, and \`params\` in the module of ${name}.`
    })
  })

/** What another version of `Sense.make` may have left out. */
const isComplete = (sense: Sense.Sense<unknown>): boolean =>
  typeof sense.encode === "function" && typeof sense.decode === "function" && sense.compute !== undefined

const foreign = (file: string): Problem => ({
  code: "wrong-shape",
  message: `the sense of ${file} was made by another version of @nerve/core than this nerve works with`,
  file,
  hint: "Install the same version of nerve in the workspace."
})

const unprepared = (name: SenseName, error: unknown): Problem => ({
  code: "database-unusable",
  message: `${SenseDatabase.fileOf(name)} cannot be written: ${UserError.inOneLine(error)}`,
  file: SenseDatabase.fileOf(name),
  hint: ""
})
