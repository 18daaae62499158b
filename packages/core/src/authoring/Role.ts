/**
 * A role speaks in a workflow: given the conversation so far it answers with content and meta. It is
 * written as code (`make`) or asks an adapter (`fromAdapter`).
 *
 * ```ts
 * const collector = Role.make(async (context, { signal }) => ({ content: await read(signal) }))
 * const analyst = Role.fromAdapter({
 *   adapter: Adapter.openaiFromEnv,
 *   prompt: "Is this machine healthy?",
 *   meta: Schema.Struct({ healthy: Schema.Boolean })
 * })
 * ```
 *
 * In a dry run no role is run: each answers with a placeholder (W4).
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { extractor } from "./adapter/Agent.ts"
import { type Adapter, type AdapterFailed, adapterFailed, type Reply } from "./adapter/Contract.ts"
import { type Answer, type Context, Info, type Services } from "./Conversation.ts"
import { lastJson } from "./internal/lastJson.ts"
import { PauseThread } from "./Wait.ts"
import type { Waits } from "./Wait.ts"

export { type Answer, type Context, Info, last, lastMeta, type Services } from "./Conversation.ts"
export {
  approval,
  type ApprovalOptions,
  child,
  type ChildOptions,
  ChildResult,
  Decided,
  decision,
  Decision,
  PauseThread,
  sleep,
  Slept
} from "./Wait.ts"

export const TypeId = "~@nerve/core/Role"
export type TypeId = typeof TypeId

/** A role as a workflow holds it. */
export interface Role {
  readonly [TypeId]: TypeId
  /** Interruption is how a thread that is killed, or a worker that stops, ends it. */
  readonly run: (
    context: Context,
    options: {
      /** The role's name in its workflow. */
      readonly role: string
    }
  ) => Effect.Effect<Answer, unknown, Services>
  /** A role that waits is not run: the daemon waits for what this says. */
  readonly waits?: Waits
}

/** The meta of a role's answer did not fit its Schema, repair retries included (W2). */
export class MetaInvalid extends Schema.TaggedError<MetaInvalid>()("MetaInvalid", {
  role: Schema.String,
  /** Where in the meta, as `meta.verdict.score`. */
  path: Schema.String,
  /** What is wrong there. */
  issue: Schema.String,
  /** How often the adapter was asked. */
  attempts: Schema.Int
}) {
  override get message(): string {
    const times = this.attempts === 1 ? "1 attempt" : `${this.attempts} attempts`
    return `the answer of ${this.role} is unusable after ${times}: ${this.path}: ${this.issue}`
  }
}

/** What a plain function is given besides the conversation. */
export interface Tools {
  /** The role's name. */
  readonly role: string
  /** Absolute path of the workspace. */
  readonly workspace: string
  /** For promises: aborted when the thread is killed and when the worker stops. An Effect is interrupted. */
  readonly signal: AbortSignal
}

/** Whether a value is what `make` and `fromAdapter` return, also from another copy of this package. */
export const isRole = (value: unknown): value is Role => typeof value === "object" && value !== null && TypeId in value

/** Settings that every role has. */
export interface Common {
  /** What it answers in a dry run, where the moderator needs a certain meta. */
  readonly placeholder?: Answer | string
  /**
   * What it answers instead when it fails, repair retries included: the round then counts as spoken, and
   * the moderator can steer by its meta. Without it a failure fails the round. What it throws itself
   * fails the round as well. A round that is stopped is no failure.
   *
   * `pause`: the thread holds still instead, and says why; resuming it runs the round again.
   */
  readonly onFail?: "pause" | ((error: unknown, context: Context) => Answer | string)
}

/**
 * A role from code: a function that returns an Effect, a promise or the answer itself. A text alone
 * is an answer without meta. What it throws, rejects or fails with fails the round.
 *
 * A round that is stopped ends when the promise has settled: code that does not heed `signal` goes on
 * until then, or until its worker is killed.
 */
export const make = (
  run: (
    context: Context,
    tools: Tools
  ) => Effect.Effect<Answer | string, unknown, Services> | Promise<Answer | string> | Answer | string,
  options?: Common
): Role => ({
  [TypeId]: TypeId,
  run: (context, { role }) => {
    if (context.start.dryRun) return Effect.succeed(placeholder(options?.placeholder, role, "code"))
    return Effect.flatMap(Info, ({ workspace }) =>
      Effect.callback<Answer | string, unknown, Services>((resume, signal) => {
        const returned = run(context, { role, workspace, signal })
        if (Effect.isEffect(returned)) return void resume(returned)
        const promise = Promise.resolve(returned)
        promise.then(
          (answer) => resume(Effect.succeed(answer)),
          (error: unknown) => resume(Effect.die(error))
        )
        // Interrupted: the signal has fired, and the round is not over before the code is.
        return Effect.promise(() =>
          promise.then(
            () => undefined,
            () => undefined
          )
        )
      })
    ).pipe(Effect.map(asAnswer), orElse(options, context))
  }
})

/** Settings of a role that asks an adapter. */
export interface FromAdapter<A, I> extends Common {
  readonly adapter: Adapter
  readonly prompt: string | ((context: Context) => string)
  /** Schema of the meta. Without one the meta is what the adapter or `extract` says, or null. */
  readonly meta?: Schema.Codec<A, I>
  /**
   * Takes the meta out of a reply. Unless told: the adapter's own, else the last ```json block or
   * object in the text, which the prompt then asks for, else what `extract` of nerve.yaml makes of it.
   */
  readonly extract?: (reply: Reply, context: Context) => unknown
  /** How often the adapter is asked again when the meta does not fit. 2 unless told. */
  readonly retries?: number
}

/**
 * A role that asks an adapter (W2). Meta that does not decode is asked for again, with what was wrong
 * added to the prompt; after the retries the role fails with `MetaInvalid`.
 */
export const fromAdapter = <A = Schema.Json, I = unknown>(options: FromAdapter<A, I>): Role => ({
  [TypeId]: TypeId,
  run: (context, { role }) => {
    const { adapter } = options
    if (context.start.dryRun) return Effect.succeed(placeholder(options.placeholder, role, `adapter ${adapter.name}`))
    return Effect.gen(function* () {
      const written = yield* Effect.sync(() =>
        typeof options.prompt === "string" ? options.prompt : options.prompt(context)
      )
      const prompt =
        options.meta === undefined || options.extract !== undefined
          ? written
          : `${written}\n\n${askForMeta(options.meta)}`
      const attempts = 1 + (options.retries ?? 2)
      const ask = (nth: number, text: string): Effect.Effect<Answer, unknown, Services> =>
        Effect.gen(function* () {
          const reply = yield* adapter.run({ role, prompt: text, context })
          const meta = yield* metaOf(options, reply, context, role)
          if (meta._tag === "Fits") return { content: reply.content, meta: meta.value }
          if (nth < attempts) return yield* ask(nth + 1, `${prompt}\n\n${repair(reply, meta)}`)
          return yield* new MetaInvalid({ role, path: meta.path, issue: meta.issue, attempts })
        })
      return yield* ask(1, prompt)
    }).pipe(orElse(options, context))
  }
})

/** The same as `fromAdapter`. */
export const createRole: typeof fromAdapter = fromAdapter

// --- helpers ---

const asAnswer = (answer: Answer | string): Answer => (typeof answer === "string" ? { content: answer } : answer)

const placeholder = (given: Answer | string | undefined, role: string, by: string): Answer =>
  given === undefined ? { content: `[dry run] ${role} (${by}) was not run`, meta: null } : asAnswer(given)

/** The answer of `onFail` in place of a failure. */
const orElse =
  (options: Common | undefined, context: Context) =>
  <R>(round: Effect.Effect<Answer, unknown, R>): Effect.Effect<Answer, unknown, R> => {
    const onFail = options?.onFail
    if (onFail === undefined) return round
    return Effect.catchCauseIf(
      round,
      (cause) => !Cause.hasInterrupts(cause),
      (cause) => {
        const error = Cause.squash(cause)
        if (error instanceof PauseThread) return Effect.fail(error)
        if (onFail === "pause") return Effect.fail(new PauseThread({ reason: describe(error) }))
        return Effect.sync(() => asAnswer(onFail(error, context)))
      }
    )
  }

type Meta =
  | { readonly _tag: "Fits"; readonly value: Schema.Json }
  | { readonly _tag: "Unfit"; readonly path: string; readonly issue: string }

const unfit = (path: string, issue: string): Meta => ({ _tag: "Unfit", path, issue })

const extracted = <A, I>(
  options: FromAdapter<A, I>,
  reply: Reply,
  context: Context,
  role: string
): Effect.Effect<Option.Option<unknown>, unknown, Services> => {
  const { extract, meta } = options
  if (extract !== undefined) {
    return Effect.suspend(() => {
      const value = extract(reply, context)
      // An extractor's Effect may ask for what an Effect role may ask for, and no more.
      if (Effect.isEffect(value)) return value as Effect.Effect<unknown, unknown, Services>
      return value instanceof Promise ? Effect.promise(() => value) : Effect.succeed(value)
    }).pipe(Effect.asSome)
  }
  if (reply.meta !== undefined) return Effect.succeedSome<unknown>(reply.meta)
  if (meta === undefined) return Effect.succeedSome<unknown>(null)
  const found = lastJson(reply.content)
  return Option.isSome(found) ? Effect.succeed(found) : extractedByModel(meta, reply, context, role)
}

/** Has the model that nerve.yaml names under `extract` read the meta out of an answer in plain words. */
const extractedByModel = Effect.fnUntraced(function* (
  meta: Schema.Constraint,
  reply: Reply,
  context: Context,
  role: string
): Effect.fn.Return<Option.Option<unknown>, AdapterFailed, Services> {
  const { agents, extract } = yield* Info
  if (extract === null) return Option.none()
  const adapter = extractor(extract, agents)
  if (adapter === undefined) {
    return yield* adapterFailed(
      "extract",
      `its provider ${extract.provider} is neither under agents in nerve.yaml nor openai, cursor-agent or hermes`
    )
  }
  const prompt = `Take from the answer below what it says, and add nothing. ${askForMeta(meta)}`
  const { content } = yield* adapter.run({
    role,
    prompt: `${prompt}\n\nThe answer:\n${reply.content}`,
    context: { ...context, steps: [] }
  })
  return lastJson(content)
})

const metaOf = <A, I>(
  options: FromAdapter<A, I>,
  reply: Reply,
  context: Context,
  role: string
): Effect.Effect<Meta, never, Services> =>
  Effect.gen(function* () {
    const value = yield* extracted(options, reply, context, role)
    if (Option.isNone(value)) return unfit("meta", "there is no JSON object in the answer")
    const codec = options.meta === undefined ? undefined : Schema.toCodecJson(options.meta)
    if (codec === undefined) {
      return { _tag: "Fits", value: yield* Schema.decodeUnknownEffect(Schema.Json)(value.value) } as const
    }
    const decoded = yield* Schema.decodeUnknownEffect(codec)(value.value)
    return { _tag: "Fits", value: yield* Schema.encodeEffect(codec)(decoded) } as const
  }).pipe(
    Effect.catchCause((cause) => {
      if (Cause.hasInterrupts(cause)) return Effect.interrupt
      const error = Cause.squash(cause)
      if (!Schema.isSchemaError(error)) {
        return Effect.succeed(unfit("meta", `it could not be extracted: ${describe(error)}`))
      }
      const first = SchemaIssue.makeFormatterStandardSchemaV1()(error.issue).issues[0]
      const path = ["meta", ...(first?.path ?? [])].map(String).join(".")
      return Effect.succeed(unfit(path, first?.message ?? error.message))
    })
  )

const describe = (error: unknown): string => (error instanceof Error ? error.message : Cause.pretty(Cause.fail(error)))

const askForMeta = (meta: Schema.Constraint): string => {
  const { definitions, schema } = Schema.toJsonSchemaDocument(meta)
  const whole = Object.keys(definitions).length === 0 ? schema : { ...schema, $defs: definitions }
  return `End your answer with a \`\`\`json block that fits this JSON Schema:\n${JSON.stringify(whole)}`
}

/** So much of an unusable answer is shown to the model again. */
const REPEATED_CHARACTERS = 4_000

const repair = (reply: Reply, meta: { readonly path: string; readonly issue: string }): string =>
  `Your previous answer was:\n${reply.content.slice(-REPEATED_CHARACTERS)}\n\n` +
  `It is not usable: ${meta.path}: ${meta.issue}. Answer again, and mend that.`
