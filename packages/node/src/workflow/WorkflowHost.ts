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
  ModeratorFailed,
  RoleFailed,
  type RoundOutcome,
  UnknownRole,
  WorkflowUnavailable,
  type WorkflowWorkerInit,
  type WorkflowWorkerReady
} from "@nerve/core/wire/WorkflowRpcs"
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { HttpClient } from "effect/http/HttpClient"
import type { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import * as Schema from "effect/Schema"
import * as UserError from "../user/UserError.ts"
import * as UserModule from "../user/UserModule.ts"
import * as RoundMeter from "./RoundMeter.ts"

/** What adapters and Effect roles find in a worker besides `Role.Info`. */
export type Outside = HttpClient | ChildProcessSpawner

/** A loaded workflow, or the reason why it is none, and how its rounds are run. */
export interface WorkflowHost {
  readonly ready: WorkflowWorkerReady
  /** Handlers of WorkflowWorkerRpcs. */
  readonly handlers: Rounds & {
    /** Interrupts the thread's round and answers when it has stopped: whether there was one. */
    readonly StopRound: (payload: { readonly threadId: ThreadId }) => Effect.Effect<boolean>
  }
}

/** Runs rounds. */
interface Rounds {
  readonly RunRound: (payload: {
    readonly start: ThreadStart
    readonly steps: ReadonlyArray<ThreadMessage>
  }) => Effect.Effect<RoundOutcome, UnknownRole | RoleFailed | ModeratorFailed | WorkflowUnavailable>
}

/** The rounds, stoppable by thread. A round has stopped when the fiber that serves it has ended. */
const stoppable = ({ RunRound }: Rounds): WorkflowHost["handlers"] => {
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
      onSuccess: (workflow) => ({ workflow })
    })
  )
  if ("problem" in loaded) return unavailable(init, loaded.problem)

  const { workflow } = loaded
  const roles = new Map(Object.entries(workflow.roles))
  const known = [...roles.keys()]
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
    const given = yield* Effect.flatMap(services, (outside) =>
      answer.pipe(Effect.flatMap(decodeAnswer), meter.listen, Effect.provideContext(outside))
    ).pipe(
      Effect.catchCause((cause) =>
        Effect.flatMap(meter.cost, (cost) => Effect.fail(new RoleFailed({ role: name, ...describe(cause), ...cost })))
      )
    )
    return { ...given, ...(yield* meter.cost) }
  })

  return {
    ready: { roles: known, problem: null },
    handlers: stoppable({
      RunRound: Effect.fnUntraced(function* ({ start, steps }) {
        const context: Role.Context = { threadId: start.threadId, start, steps }
        const next = yield* choose(context)
        if (next === Workflow.END) return { _tag: "Ended" } as const
        if (typeof next !== "string") {
          const message = `the moderator answered ${UserError.kindOf(next)}, not a role's name or Workflow.END`
          return yield* new ModeratorFailed({ message, stack: null })
        }
        const role = roles.get(next)
        if (role === undefined) return yield* new UnknownRole({ role: next, known })
        return { _tag: "Spoke", role: next, ...(yield* speak(next, role, context)) } as const
      })
    })
  }
})

const unavailable = (init: WorkflowWorkerInit, problem: Problem): WorkflowHost => ({
  ready: { roles: [], problem },
  handlers: stoppable({ RunRound: () => Effect.fail(new WorkflowUnavailable({ workflow: init.workflow, problem })) })
})

const load = Effect.fnUntraced(function* (init: WorkflowWorkerInit): Effect.fn.Return<Workflow.Workflow, Problem> {
  const { workflow: name, workspace } = init
  const file = yield* UserModule.locate(workspace, "workflows", name)
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
  return workflow
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
