/**
 * A sense observes something at intervals. Its module's default export is what `Sense.make` returns.
 *
 * ```ts
 * export default Sense.make({
 *   signal: Schema.Struct({ usage: Schema.Finite }),
 *   compute: Effect.gen(function*() {
 *     const sql = yield* Sense.Database
 *     const usage = yield* readUsage
 *     yield* sql`INSERT INTO samples (usage) VALUES (${usage})`
 *     return usage > 0.9 ? Sense.signal({ usage }) : Sense.none
 *   })
 * })
 * ```
 *
 * Or, without Effect: `compute: async ({ db, signal }) => Sense.signal({ usage: await read(signal) })`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { SqlClient } from "effect/sql/SqlClient"

export const TypeId = "~@nerve/core/Sense"
export type TypeId = typeof TypeId

/** The sense's own database, open for reading and writing, its migrations applied. */
export class Database extends Context.Service<Database, SqlClient>()("@nerve/core/authoring/Sense/Database") {}

/** The other senses' databases by name, read-only (S3). */
export class Peers extends Context.Service<
  Peers,
  {
    /** Fails with a defect that names the known senses when there is none of that name. */
    readonly get: (sense: string) => Effect.Effect<SqlClient>
    readonly names: ReadonlyArray<string>
  }
>()("@nerve/core/authoring/Sense/Peers") {}

/** Which sense is computing, and where its workspace is. */
export class Info extends Context.Service<
  Info,
  {
    readonly name: string
    /** Absolute path. */
    readonly workspace: string
  }
>()("@nerve/core/authoring/Sense/Info") {}

/** What an Effect compute may require. */
export type Services = Database | Peers | Info

/** A launch of a workflow that goes with a signal. */
export interface LaunchRequest {
  readonly workflow: string
  readonly prompt: string
  readonly maxRounds?: number
  readonly dryRun?: boolean
}

/** What a compute returns: a signal, or nothing worth saying. */
export type Outcome<A> =
  | { readonly _tag: "Signal"; readonly value: A; readonly launches: ReadonlyArray<LaunchRequest> }
  | { readonly _tag: "NoSignal"; readonly reason: string | null }

/** A prepared statement of the plain handle, as `node:sqlite` has it. */
export interface PlainStatement {
  readonly run: (...parameters: ReadonlyArray<null | number | bigint | string | Uint8Array>) => unknown
  readonly get: (
    ...parameters: ReadonlyArray<null | number | bigint | string | Uint8Array>
  ) => Record<string, unknown> | undefined
  readonly all: (
    ...parameters: ReadonlyArray<null | number | bigint | string | Uint8Array>
  ) => ReadonlyArray<Record<string, unknown>>
}

/** The part of `node:sqlite`'s `DatabaseSync` that plain computes use. */
export interface PlainDatabase {
  readonly exec: (sql: string) => void
  readonly prepare: (sql: string) => PlainStatement
}

/** What a plain async compute is given. */
export interface PlainContext {
  readonly name: string
  readonly workspace: string
  readonly db: PlainDatabase
  /** Read-only handle on another sense's database. Throws when there is none of that name. */
  readonly peer: (sense: string) => PlainDatabase
  /** Aborted at the soft timeout and when the worker stops. */
  readonly signal: AbortSignal
  /** A log line that carries the sense's name. */
  readonly log: (message: string, fields?: Record<string, unknown>) => void
}

/** `null` and `undefined` stand for no signal. */
export type PlainCompute<A> = (
  context: PlainContext
) => Promise<Outcome<A> | null | undefined> | Outcome<A> | null | undefined

/** A sense as its module exports it. */
export interface Sense<A> {
  readonly [TypeId]: TypeId
  /** Codec of the signal's value; its encoded side must be JSON. */
  readonly signal: Schema.Codec<A, unknown>
  /**
   * A signal's value as JSON, by `signal`; fails with what does not fit and where. It is here because a
   * Schema works only with the copy of Effect that made it, and a worker may bring a copy of its own.
   */
  readonly encode: (value: unknown) => Effect.Effect<Schema.Json, string>
  readonly compute:
    | { readonly _tag: "Effect"; readonly effect: Effect.Effect<Outcome<A>, unknown, Services> }
    | { readonly _tag: "Plain"; readonly run: PlainCompute<A> }
}

/**
 * Defines a sense. `compute` is an Effect, or a plain (async) function. An error of either kind is
 * logged and harms no other sense; a value that `signal` refuses counts as one.
 */
export const make = <A, I>(options: {
  readonly signal: Schema.Codec<A, I>
  readonly compute: Effect.Effect<Outcome<NoInfer<A>>, unknown, Services> | PlainCompute<NoInfer<A>>
}): Sense<A> => {
  const encode = Schema.encodeUnknownEffect(Schema.toCodecJson(options.signal))
  return {
    [TypeId]: TypeId,
    signal: options.signal,
    encode: (value) => Effect.mapError(encode(value), (error) => error.message),
    compute:
      typeof options.compute === "function"
        ? { _tag: "Plain", run: options.compute }
        : { _tag: "Effect", effect: options.compute }
  }
}

/** Whether a value is what `make` returns, also from another copy of this package. */
export const isSense = (value: unknown): value is Sense<unknown> =>
  typeof value === "object" && value !== null && TypeId in value

/** Emits a signal, with the workflows that it launches. */
export const signal = <A>(
  value: A,
  options?: {
    readonly launch?: LaunchRequest | ReadonlyArray<LaunchRequest>
  }
): Outcome<A> => ({
  _tag: "Signal",
  value,
  launches:
    options?.launch === undefined
      ? []
      : Array.isArray(options.launch)
        ? options.launch
        : [options.launch as LaunchRequest]
})

/** No signal this time. */
export const none: Outcome<never> = { _tag: "NoSignal", reason: null }

/** No signal this time, with the reason for the record. */
export const skip = (reason: string): Outcome<never> => ({ _tag: "NoSignal", reason })
