/**
 * A sense observes something at intervals. Its module's default export is what `Sense.make` returns.
 * A compute is one transaction on the sense's database: its rows, its `state` and its signal are saved
 * together when it ends well, and nothing of it is when it does not.
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
 * Or, without Effect: `compute: async ({ db, signal }) => Sense.signal({ usage: await read(signal) })`. A
 * function may return an Effect, too: so an Effect gets at `params` and `state`.
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
    /** The same, with the types of the sense that its module exports. */
    readonly of: <A, S, T>(sense: string, type: Sense<A, S, T>) => Effect.Effect<Peer<A, S, T>>
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

/** What SQLite takes as a parameter. */
export type SqlValue = null | number | bigint | string | Uint8Array

/** A prepared statement of the plain handle, as `node:sqlite` has it. */
export interface PlainStatement {
  readonly run: (...parameters: ReadonlyArray<SqlValue>) => unknown
  readonly get: (...parameters: ReadonlyArray<SqlValue>) => Record<string, unknown> | undefined
  readonly all: (...parameters: ReadonlyArray<SqlValue>) => ReadonlyArray<Record<string, unknown>>
}

/** The part of `node:sqlite`'s `DatabaseSync` that computes use. What is handed over is a whole one. */
export interface PlainDatabase {
  readonly exec: (sql: string) => void
  readonly prepare: (sql: string) => PlainStatement
}

/**
 * Another sense as its module describes it: `peer("cpu-usage", cpuUsage)` with the default export of
 * `senses/cpu-usage`. Each call throws where what is there does not fit that sense's Schemas.
 */
export interface Peer<A, S, T> extends PlainDatabase {
  /** Its last signal's value, null before the first. */
  readonly signal: () => A | null
  /** Its state, null before it was first set. */
  readonly state: () => S | null
  /** Rows of one of its `tables`. `tail` comes after the table's name: `rows("samples", "WHERE at > ?", since)`. */
  readonly rows: <Name extends keyof T & string>(
    table: Name,
    tail?: string,
    ...parameters: ReadonlyArray<SqlValue>
  ) => ReadonlyArray<T[Name]>
}

/** How a compute gets at other senses. Throws when there is none of that name, or it has not run yet. */
export interface PeerOf {
  (sense: string): PlainDatabase
  <A, S, T>(sense: string, type: Sense<A, S, T>): Peer<A, S, T>
}

/** A sense's durable state, of the compute that runs. */
export interface State<S> {
  /** What was set last, in this compute or in one that ended well; else the `initial` state. */
  readonly get: () => S
  /** Saved with the compute's rows, when it ends well. Throws when `schema` refuses the value. */
  readonly set: (value: S) => void
}

/** What a compute that is a function is given. `P` is what `params` decodes to, `S` the state. */
export interface ComputeContext<P = unknown, S = never> {
  readonly name: string
  /** Absolute path. */
  readonly workspace: string
  /** `params` of nerve.yaml, by the sense's own Schema; as they are written where it has none. */
  readonly params: P
  readonly state: State<S>
  /** The sense's own database. A compute is one transaction already: no BEGIN, no COMMIT. */
  readonly db: PlainDatabase
  /** Read-only handle on another sense's database. */
  readonly peer: PeerOf
  /** Aborted at the soft timeout and when the worker stops. */
  readonly signal: AbortSignal
  /** A log line that carries the sense's name. `console.log` and `Effect.log` write such lines, too. */
  readonly log: (message: string, fields?: Record<string, unknown>) => void
}

/** `null` and nothing at all stand for no signal. */
export type Returned<A> = Outcome<A> | null | undefined | void

/** A compute as a function: plain, async, or one that returns an Effect. */
export type Run<A, P, S> = (
  context: ComputeContext<P, S>
) => Returned<A> | Promise<Returned<A>> | Effect.Effect<Returned<A>, unknown, Services>

/** The durable state of a sense: small, such as a cursor. What is large belongs into tables. */
export interface StateOptions<S> {
  readonly schema: Schema.Codec<S, unknown>
  /** The state before any was set. */
  readonly initial: NoInfer<S>
  /**
   * Makes a state of one that `schema` no longer decodes, given as JSON. Without it such a sense is down
   * until its file changes; what this throws keeps it down, too.
   */
  readonly migrate?: ((old: Schema.Json) => NoInfer<S>) | undefined
}

/**
 * A Schema's two directions as functions that throw what does not fit and where: a Schema works only
 * with the copy of Effect that made it, and a worker may bring a copy of its own.
 */
export interface Coder<A> {
  readonly encode: (value: unknown) => Schema.Json
  readonly decode: (json: unknown) => A
}

/** A sense as its module exports it. `S` is its state, `T` the rows of its tables by name. */
export interface Sense<A, S = unknown, T = unknown> {
  readonly [TypeId]: TypeId
  /** Codec of the signal's value; its encoded side must be JSON. */
  readonly signal: Schema.Codec<A, unknown>
  /** A signal's value as JSON, by `signal`; fails with what does not fit and where. See `Coder`. */
  readonly encode: (value: unknown) => Effect.Effect<Schema.Json, string>
  readonly decode: (json: unknown) => A
  /** `params` of nerve.yaml, decoded; null where the sense has no Schema for them. */
  readonly params: ((json: unknown) => unknown) | null
  readonly state: (Coder<S> & { readonly initial: S; readonly migrate: ((old: Schema.Json) => S) | null }) | null
  /** A row of each table that others may read, decoded. */
  readonly tables: { readonly [Name in keyof T]: (row: unknown) => T[Name] }
  readonly compute:
    | { readonly _tag: "Effect"; readonly effect: Effect.Effect<Outcome<A>, unknown, Services> }
    // `params` and `state` above are what it is given: their types are of no use any more.
    // oxlint-disable-next-line typescript/no-explicit-any
    | { readonly _tag: "Plain"; readonly run: Run<A, any, any> }
}

/** The rows that the Schemas of `tables` decode to. */
// oxlint-disable-next-line typescript/no-explicit-any
export type Rows<Tables extends Record<string, Schema.Codec<any, any>>> = {
  readonly [Name in keyof Tables]: Tables[Name]["Type"]
}

/**
 * Defines a sense. `compute` is an Effect, or a function: plain, async, or one that returns an Effect. An
 * error of any kind is logged and harms no other sense; a value that `signal` refuses counts as one.
 *
 * - `params`: Schema of what `nerve.yaml` says under `params` of this sense
 * - `state`: what the sense remembers from one compute to the next
 * - `tables`: Schemas of the rows that other senses may count on
 */
export const make = <
  A,
  I,
  P = Schema.Json,
  S = never,
  // oxlint-disable-next-line typescript/no-explicit-any
  Tables extends Record<string, Schema.Codec<any, any>> = {}
>(options: {
  readonly signal: Schema.Codec<A, I>
  readonly params?: Schema.Codec<P, unknown> | undefined
  readonly state?: StateOptions<S> | undefined
  readonly tables?: Tables | undefined
  readonly compute: Effect.Effect<Outcome<NoInfer<A>>, unknown, Services> | Run<NoInfer<A>, NoInfer<P>, NoInfer<S>>
}): Sense<A, S, Rows<Tables>> => {
  const { compute, params, signal, state } = options
  checkShape(options)
  const encode = Schema.encodeUnknownEffect(Schema.toCodecJson(signal))
  return {
    [TypeId]: TypeId,
    signal,
    encode: (value) => Effect.mapError(encode(value), (error) => error.message),
    decode: coder(signal).decode,
    params: params === undefined ? null : coder(params).decode,
    state:
      state === undefined ? null : { ...coder(state.schema), initial: state.initial, migrate: state.migrate ?? null },
    tables: rowsOf<Tables>(options.tables),
    compute: typeof compute === "function" ? { _tag: "Plain", run: compute } : { _tag: "Effect", effect: compute }
  }
}

/** What types say, for modules that nobody has checked. */
const checkShape = (options: {
  readonly signal: unknown
  readonly compute: unknown
  readonly params?: unknown
  readonly state?: { readonly schema?: unknown } | undefined
}): void => {
  const { compute, params, signal, state } = options
  const schemas: ReadonlyArray<readonly [name: string, value: unknown]> = [
    ["signal", signal],
    ...(params === undefined ? [] : [["params", params] as const]),
    ...(state === undefined ? [] : [["state.schema", state.schema] as const])
  ]
  for (const [name, value] of schemas) {
    if (Schema.isSchema(value)) continue
    const never = name === "signal" ? "; Schema.Never if it never signals" : ""
    throw new TypeError(
      `Sense.make: \`${name}\` must be a Schema, such as Schema.Struct({ usage: Schema.Finite })${never}`
    )
  }
  if (typeof compute !== "function" && !Effect.isEffect(compute)) {
    throw new TypeError("Sense.make: `compute` must be a function or an Effect")
  }
}

const coder = <A>(schema: Schema.Codec<A, unknown>): Coder<A> => {
  const json = Schema.toCodecJson(schema)
  return { encode: Schema.encodeUnknownSync(json), decode: Schema.decodeUnknownSync(json) }
}

// oxlint-disable-next-line typescript/no-explicit-any
const rowsOf = <Tables extends Record<string, Schema.Codec<any, any>>>(
  tables: Tables | undefined
): Sense<unknown, unknown, Rows<Tables>>["tables"] =>
  // The mapped type says of each name what its own Schema decodes to; `fromEntries` forgets it.
  Object.fromEntries(
    Object.entries(tables ?? {}).map(([name, schema]) => [name, Schema.decodeUnknownSync(schema)])
  ) as Sense<unknown, unknown, Rows<Tables>>["tables"]

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
