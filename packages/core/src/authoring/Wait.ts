/**
 * Roles that wait: for somebody's answer, for a point of time, for another workflow. While a thread
 * waits it holds no slot and no process, and the wait survives restarts. The end of a wait is the
 * role's message, recorded once like any other.
 *
 * ```ts
 * const gate = Role.approval({ question: "Deploy to production?", timeout: "2 days" })
 * const cooldown = Role.sleep("10 minutes")
 * const review = Role.child({ workflow: "review", prompt: ({ start }) => start.prompt })
 * ```
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { RunStatus } from "../domain/Thread.ts"
import type { WaitRequest } from "../wire/WorkflowRpcs.ts"
import type { Answer, Context } from "./Conversation.ts"
import type { Role } from "./Role.ts"

/** The type id of roles, without importing them: they import this file. */
const roleId: Role["~@nerve/core/Role"] = "~@nerve/core/Role"

/** What somebody decided. `timed-out`: nobody did in time. */
export const Decided = Schema.Literals(["approved", "rejected", "timed-out"])
export type Decided = typeof Decided.Type

/** Meta of an approval whose answer has this Schema; null where there is none, as after a rejection. */
export const decision = <S extends Schema.Constraint>(answer: S) =>
  Schema.Struct({
    decision: Decided,
    /** Who answered, as they said; empty when nobody did. */
    by: Schema.String,
    reason: Schema.String,
    answer: Schema.NullOr(answer)
  })

/** Meta of an approval without a Schema of its own: `Role.lastMeta(context, "gate", Role.Decision)`. */
export const Decision = decision(Schema.Json)
export type Decision = typeof Decision.Type

/** Meta of a child: how its thread ended, and the meta of its last message. */
export const ChildResult = Schema.Struct({
  threadId: Schema.String,
  status: RunStatus,
  exitCode: Schema.NullOr(Schema.Int),
  reason: Schema.String,
  meta: Schema.Json
})
export type ChildResult = typeof ChildResult.Type

/** Meta of a sleep. Milliseconds since the Unix epoch. */
export const Slept = Schema.Struct({ until: Schema.Int })
export type Slept = typeof Slept.Type

/** A text, or a function of the conversation. Pure: it may be asked more than once. */
type Text = string | ((context: Context) => string)

const textOf = (text: Text, context: Context): string => (typeof text === "string" ? text : text(context))

/** What a waiting role has beyond `run`. */
export interface Waits {
  /** What it asks to wait for. Whatever it throws fails the round. */
  readonly request: (context: Context) => WaitRequest
  /** Decodes an answer: what is recorded of it, as JSON. None unless it takes answers with a Schema. */
  readonly check?: (answer: unknown) => Effect.Effect<Schema.Json, Schema.SchemaError>
}

const make = (waits: Waits, placeholder: () => Answer): Role => ({
  [roleId]: roleId,
  waits,
  // In a dry run nobody waits; else it is never run, its worker says what it waits for.
  run: (context) =>
    context.start.dryRun
      ? Effect.sync(placeholder)
      : Effect.die(new Error("a role that waits is not run: the daemon waits for it"))
})

/** Settings of `approval`. */
export interface ApprovalOptions<A, I> {
  /** What is to be decided, for whoever answers. */
  readonly question: Text
  /** Schema of what an approval has to say besides yes: an answer that does not fit is refused. */
  readonly answer?: Schema.Codec<A, I>
  /** After this long it counts as answered with `timed-out`. Without one it waits for ever. */
  readonly timeout?: Duration.Input
  /** What it answers in a dry run: approved by nobody unless told. */
  readonly placeholder?: Answer
}

/**
 * Waits until a person or a program answers, by `nerve thread answer` or the API. Its message says who
 * decided what and why; its meta is a `Decision`. What follows from a rejection or a time-out is the
 * moderator's to say.
 */
export const approval = <A = Schema.Json, I = unknown>(options: ApprovalOptions<A, I>): Role => {
  const { answer, placeholder, question, timeout } = options
  const codec = answer === undefined ? undefined : Schema.toCodecJson(answer)
  const schema = answer === undefined ? null : jsonSchema(answer)
  const timeoutMs = timeout === undefined ? null : Duration.toMillis(Duration.fromInputUnsafe(timeout))
  return make(
    {
      request: (context) => ({ _tag: "Approval", question: textOf(question, context), schema, timeoutMs }),
      ...(codec === undefined
        ? {}
        : {
            check: (given: unknown) =>
              Effect.flatMap(Schema.decodeUnknownEffect(codec)(given), Schema.encodeEffect(codec))
          })
    },
    () =>
      placeholder ?? {
        content: "[dry run] approved by nobody",
        meta: { decision: "approved", by: "", reason: "dry run", answer: null }
      }
  )
}

/** Waits for so long, or until a point of time (milliseconds since the Unix epoch) that the conversation says. */
export const sleep = (time: Duration.Input | { readonly until: (context: Context) => number }): Role =>
  make(
    {
      request: (context) =>
        isUntil(time)
          ? { _tag: "Sleep", durationMs: null, until: time.until(context) }
          : { _tag: "Sleep", durationMs: Duration.toMillis(Duration.fromInputUnsafe(time)), until: null }
    },
    () => ({ content: "[dry run] did not sleep", meta: { until: 0 } })
  )

const isUntil = (
  time: Duration.Input | { readonly until: (context: Context) => number }
): time is { readonly until: (context: Context) => number } =>
  typeof time === "object" && "until" in time && typeof time.until === "function"

/** Settings of `child`. */
export interface ChildOptions {
  /** Name of the workflow in nerve.yaml. */
  readonly workflow: Text
  readonly prompt: Text
  /** Rounds of the child at most; `max_rounds` of nerve.yaml unless told. */
  readonly maxRounds?: number
  /** What it answers in a dry run, where the moderator needs a certain meta. */
  readonly placeholder?: Answer
}

/**
 * Starts a thread of another workflow, once, and waits for its end. Its message is the last message of
 * that thread, its meta a `ChildResult`: a child that failed is for the moderator to judge. When the
 * waiting thread is killed or cancelled, so is the child.
 */
export const child = (options: ChildOptions): Role =>
  make(
    {
      request: (context) => ({
        _tag: "Child",
        workflow: textOf(options.workflow, context),
        prompt: textOf(options.prompt, context),
        maxRounds: options.maxRounds ?? null
      })
    },
    () =>
      options.placeholder ?? {
        content: "[dry run] no child was started",
        meta: { threadId: "", status: "completed", exitCode: 0, reason: "dry run", meta: null }
      }
  )

/**
 * A role fails with this to pause its thread: somebody has to mend something first, such as a budget
 * that is spent. `nerve thread resume` runs the round again.
 */
export class PauseThread extends Schema.TaggedError<PauseThread>()("PauseThread", {
  reason: Schema.String
}) {
  override get message(): string {
    return this.reason
  }
}

/** Its JSON is what the CLI shows; `Schema.Json` says that nothing else is in it. */
const jsonSchema = (answer: Schema.Constraint): Schema.Json => {
  const { definitions, schema } = Schema.toJsonSchemaDocument(answer)
  const whole = Object.keys(definitions).length === 0 ? schema : { ...schema, $defs: definitions }
  return Schema.decodeSync(Schema.fromJsonString(Schema.Json))(JSON.stringify(whole))
}
