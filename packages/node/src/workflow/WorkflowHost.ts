/**
 * What a workflow worker does: it loads one workflow and runs one round of a thread when asked. It
 * keeps nothing between rounds, so that any incarnation can answer for any thread (M7).
 *
 * Nothing that a workflow's author writes can harm the host: a module that does not load, a moderator
 * or role that throws, an answer of the wrong shape each become the typed error of one round.
 */
import * as Role from "@nerve/core/authoring/Role"
import * as Workflow from "@nerve/core/authoring/Workflow"
import type { ThreadId } from "@nerve/core/domain/Ids"
import type { Problem } from "@nerve/core/domain/Problem"
import type { ThreadMessage, ThreadStart } from "@nerve/core/domain/Thread"
import {
  AnswerRefused,
  CodeChanged,
  ModeratorFailed,
  RoleFailed,
  type RoundOutcome,
  UnknownRole,
  WaitRequest,
  WorkflowUnavailable,
  type WorkflowWorkerInit,
  type WorkflowWorkerReady
} from "@nerve/core/wire/WorkflowRpcs"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { HttpClient } from "effect/http/HttpClient"
import type { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as UserError from "../user/UserError.ts"
import * as UserModule from "../user/UserModule.ts"
import * as RoundMeter from "./RoundMeter.ts"
import * as CodeVersion from "./CodeVersion.ts"

/** What adapters and Effect roles find in a worker besides `Role.Info`. */
export type Outside = HttpClient | ChildProcessSpawner

/** A loaded workflow, or the reason why it is none, and how its rounds are run. */
export interface WorkflowHost {
  readonly ready: WorkflowWorkerReady
  /** Handlers of WorkflowWorkerRpcs. */
  readonly handlers: Rounds & {
    /** Decodes an answer by the Schema of the role that asked for it. */
    readonly CheckAnswer: (payload: {
      readonly role: string
      readonly answer: Schema.Json
    }) => Effect.Effect<Schema.Json, UnknownRole | AnswerRefused | WorkflowUnavailable>
    /** Interrupts the thread's round and answers when it has stopped: whether there was one. */
    readonly StopRound: (payload: { readonly threadId: ThreadId }) => Effect.Effect<boolean>
  }
}

/** Runs rounds. */
interface Rounds {
  readonly RunRound: (payload: {
    readonly start: ThreadStart
    readonly steps: ReadonlyArray<ThreadMessage>
    readonly version?: string
  }) => Effect.Effect<RoundOutcome, UnknownRole | RoleFailed | ModeratorFailed | WorkflowUnavailable | CodeChanged>
}

/** The rounds, stoppable by thread. A round has stopped when the fiber that serves it has ended. */
const stoppable = ({ RunRound }: Rounds): Omit<WorkflowHost["handlers"], "CheckAnswer"> => {
  const running = new Map<ThreadId, Fiber.Fiber<unknown, unknown>>()
  return {
    RunRound: (payload) =>
      Effect.withFiber((fiber) => {
        const { threadId } = payload.start
        running.set(threadId, fiber)
        return Effect.ensuring(
          RunRound(payload),
          Effect.sync(() => {
            if (running.get(threadId) === fiber) running.delete(threadId)
          })
        )
      }),
    StopRound: ({ threadId }) =>
      Effect.suspend(() => {
        const fiber = running.get(threadId)
        return fiber === undefined ? Effect.succeed(false) : Effect.as(Fiber.interrupt(fiber), true)
      })
  }
}

/**
 * Longest answer, in characters of content and meta together. Each round is sent the answers so far,
 * in one frame of 4 MB at most: a thread of many rounds has to fit.
 */
const MAX_ANSWER_CHARACTERS = 1_000_000

/**
 * Loads the workflow that `init` names. Never fails: a workflow that does not load answers each round
 * with WorkflowUnavailable. `outside` is run once, before the first role.
 */
export const make = Effect.fnUntraced(function* (
  init: WorkflowWorkerInit,
  outside: Effect.Effect<Context.Context<Outside>>
): Effect.fn.Return<WorkflowHost> {
  const { workspace } = init
  const loaded = yield* load(init).pipe(
    Effect.match({
      onFailure: (problem) => ({ problem }),
      onSuccess: (found) => found
    })
  )
  if ("problem" in loaded) return unavailable(init, loaded.problem)

  const { workflow } = loaded
  const roles = new Map(Object.entries(workflow.roles))
  const known = [...roles.keys()]
  const { version } = loaded
  const info = Role.Info.of({
    workflow: init.workflow,
    workspace,
    agents: Object.entries(init.agents).map(([name, agent]) => ({ name, ...agent })),
    extract: init.extract
  })
  // Uninterruptible: an interrupted first round must not be what is remembered.
  const services = yield* Effect.cached(Effect.uninterruptible(Effect.map(outside, Context.add(Role.Info, info))))

  const describe = (cause: Cause.Cause<unknown>) => UserError.describeCause(cause, workspace)
  const choose = (context: Role.Context) =>
    Effect.sync((): unknown => workflow.moderator(context)).pipe(
      Effect.catchCause((cause) => Effect.fail(new ModeratorFailed(describe(cause))))
    )
  const speak = Effect.fnUntraced(function* (name: string, role: Role.Role, context: Role.Context) {
    const meter = yield* RoundMeter.make
    const answer = Effect.suspend((): Effect.Effect<unknown, unknown, Role.Services> =>
      role.run(context, { role: name })
    )
    const spoken = Effect.flatMap(services, (outside) =>
      answer.pipe(Effect.flatMap(decodeAnswer), meter.listen, Effect.provideContext(outside))
    ).pipe(Effect.map((given) => ({ _tag: "Spoke", role: name, ...given, version }) as const))
    const outcome: RoundOutcome = yield* Effect.catchCause(spoken, (cause): Effect.Effect<RoundOutcome, RoleFailed> => {
      const error = Cause.squash(cause)
      return isPause(error)
        ? Effect.map(meter.cost, (cost) => ({ _tag: "Pauses", role: name, reason: error.reason, ...cost }) as const)
        : Effect.flatMap(meter.cost, (cost) => Effect.fail(new RoleFailed({ role: name, ...describe(cause), ...cost })))
    })
    return outcome._tag === "Spoke" ? { ...outcome, ...(yield* meter.cost) } : outcome
  })
  const ask = (name: string, waits: NonNullable<Role.Role["waits"]>, context: Role.Context) =>
    Effect.sync(() => waits.request(context)).pipe(
      Effect.flatMap(decodeRequest),
      Effect.map((request) => ({ _tag: "Waits", role: name, request, version }) as const),
      Effect.catchCause((cause) => Effect.fail(new RoleFailed({ role: name, ...describe(cause) })))
    )

  return {
    ready: { roles: known, problem: null, version },
    handlers: {
      ...stoppable({
        RunRound: Effect.fnUntraced(function* ({ start, steps, version: expected }) {
          if (expected !== undefined && version !== null && expected !== version) {
            return yield* new CodeChanged({ expected, found: version })
          }
          const context: Role.Context = { threadId: start.threadId, start, steps }
          const next = yield* choose(context)
          if (next === Workflow.END) return { _tag: "Ended" } as const
          if (typeof next !== "string") {
            const message = `the moderator answered ${UserError.kindOf(next)}, not a role's name or Workflow.END`
            return yield* new ModeratorFailed({ message, stack: null })
          }
          const role = roles.get(next)
          if (role === undefined) return yield* new UnknownRole({ role: next, known })
          if (steps.length >= start.maxRounds) return { _tag: "Exhausted" } as const
          return yield* role.waits === undefined || start.dryRun
            ? speak(next, role, context)
            : ask(next, role.waits, context)
        })
      }),
      CheckAnswer: Effect.fnUntraced(function* ({ answer, role: name }) {
        const role = roles.get(name)
        if (role === undefined) return yield* new UnknownRole({ role: name, known })
        if (role.waits?.check === undefined) return answer
        return yield* Effect.catchCause(role.waits.check(answer), (cause) =>
          Effect.fail(new AnswerRefused({ role: name, ...whereWrong(Cause.squash(cause), workspace) }))
        )
      })
    }
  }
})

/** From whichever copy of this package the workflow has it. */
const isPause = (error: unknown): error is Role.PauseThread =>
  typeof error === "object" &&
  error !== null &&
  "_tag" in error &&
  error._tag === "PauseThread" &&
  "reason" in error &&
  typeof error.reason === "string"

const decodeRequest = Schema.decodeUnknownEffect(Schema.toCodecJson(WaitRequest))

/** The first place at which an answer does not fit. */
const whereWrong = (error: unknown, workspace: string): { readonly path: string; readonly issue: string } => {
  if (!Schema.isSchemaError(error)) return { path: "answer", issue: UserError.describe(error, workspace).message }
  const first = SchemaIssue.makeFormatterStandardSchemaV1()(error.issue).issues[0]
  return {
    path: ["answer", ...(first?.path ?? [])].map(String).join("."),
    issue: first?.message ?? error.message
  }
}

const unavailable = (init: WorkflowWorkerInit, problem: Problem): WorkflowHost => ({
  ready: { roles: [], problem, version: null },
  handlers: {
    ...stoppable({ RunRound: () => Effect.fail(new WorkflowUnavailable({ workflow: init.workflow, problem })) }),
    CheckAnswer: () => Effect.fail(new WorkflowUnavailable({ workflow: init.workflow, problem }))
  }
})

interface Loaded {
  readonly workflow: Workflow.Workflow
  readonly version: string | null
}

const load = Effect.fnUntraced(function* (init: WorkflowWorkerInit): Effect.fn.Return<Loaded, Problem> {
  const { workflow: name, workspace } = init
  const file = yield* UserModule.locate(workspace, "workflows", name)
  // Before the import: a file that changes meanwhile makes the version older than the code, so that the
  // change is seen again, not missed.
  const code = yield* CodeVersion.of(workspace, file)
  const workflow = yield* UserModule.load(file, { workspace, kind: "workflow", is: Workflow.isWorkflow })
  // Plain JavaScript has nobody to check what `Workflow.make` is given.
  const wrongShape = (message: string, hint: string): Problem => ({ code: "wrong-shape", message, file, hint })
  if (typeof workflow.moderator !== "function") {
    const kind = UserError.kindOf(workflow.moderator)
    return yield* Effect.fail(wrongShape(`the moderator of ${file} is ${kind}`, "It has to be a function."))
  }
  if (typeof workflow.roles !== "object" || workflow.roles === null) {
    const kind = UserError.kindOf(workflow.roles)
    return yield* Effect.fail(wrongShape(`the roles of ${file} are ${kind}`, "They have to be an object."))
  }
  for (const [role, value] of Object.entries<unknown>(workflow.roles)) {
    if (Role.isRole(value)) continue
    return yield* Effect.fail(
      wrongShape(
        `the role ${role} of ${file} is ${UserError.kindOf(value)}, not a role`,
        "Make it by Role.make or Role.fromAdapter."
      )
    )
  }
  return { workflow, version: code?.version ?? null }
})

const isJson = Schema.is(Schema.Json)

/** An answer as a role really gave it: plain code has nobody to check it. The failure says what is wrong. */
const decodeAnswer = (answer: unknown): Effect.Effect<Required<Role.Answer>, string> => {
  const wrong = (what: string) =>
    Effect.fail(`an answer is a text, or an object with content (a text) and meta (JSON); ${what}`)
  if (typeof answer !== "object" || answer === null || !("content" in answer)) {
    return wrong(`this one is ${UserError.kindOf(answer)}`)
  }
  const { content } = answer
  const meta = "meta" in answer && answer.meta !== undefined ? answer.meta : null
  if (typeof content !== "string") return wrong(`the content of this one is ${UserError.kindOf(content)}`)
  if (!isJson(meta)) return wrong(`in this one ${notJson(meta, "meta") ?? "meta is not JSON"}`)
  if (content.length + JSON.stringify(meta).length > MAX_ANSWER_CHARACTERS) {
    return Effect.fail(
      `the answer is longer than ${MAX_ANSWER_CHARACTERS} characters: write it to a file and name that`
    )
  }
  return Effect.succeed({ content, meta })
}

/** The first place in a value that JSON cannot hold. Deeper than 50 levels, in circles say, is not looked at. */
const notJson = (value: unknown, path: string, depth = 0): string | undefined => {
  if (depth > 50) return undefined
  if (typeof value === "object" && value !== null && (Array.isArray(value) || isPlain(value))) {
    return Object.entries(value)
      .map(([key, part]) => notJson(part, `${path}.${key}`, depth + 1))
      .find((found) => found !== undefined)
  }
  if (isJson(value)) return undefined
  return `${path} is ${typeof value === "number" ? String(value) : nameOf(value)}`
}

const isPlain = (value: object): boolean => [Object.prototype, null].includes(Object.getPrototypeOf(value))

const nameOf = (value: unknown): string =>
  typeof value === "object" && value !== null && !isPlain(value) && value.constructor?.name !== undefined
    ? `a ${value.constructor.name}`
    : UserError.kindOf(value)
