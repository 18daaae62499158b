/**
 * What somebody may ask of one thread besides killing it: pause, resume, retry, fork, answer, explain.
 * It finds out whether the thread is in a state for it, and says in words when it is not; the lane of
 * the thread's workflow makes the change.
 */
import type { Decision } from "@nerve/core/authoring/Wait"
import { ThreadId } from "@nerve/core/domain/Ids"
import type { RunOpened } from "@nerve/core/domain/RunProjection"
import { isActive, isRetryable, type WorkflowRun } from "@nerve/core/domain/Thread"
import { type Explanation, type Forked, ThreadRefused, UnknownThread } from "@nerve/core/wire/ControlRpcs"
import type { AnswerRefused } from "@nerve/core/wire/WorkflowRpcs"
import * as Why from "@nerve/core/workflow/Why"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { LogStore, LogStoreError } from "../../log/LogStore.ts"
import * as RunLog from "../RunLog.ts"
import * as Children from "./children.ts"
import type { Lane, Refusal, WorkflowRuntime } from "./laneContract.ts"
import { decided } from "./waits.ts"

/** An answer to a thread that waits for one. */
export interface GivenAnswer {
  readonly threadId: string
  readonly decision: "approved" | "rejected"
  /** Who answers: recorded as told. */
  readonly by: string
  readonly reason: string
  readonly answer?: Schema.Json | undefined
}

/** What to fork, and what to change about it. */
export interface ForkRequest {
  readonly threadId: string
  /** Last round that is copied; all unless told. */
  readonly round?: number | undefined
  readonly content?: string | undefined
  readonly meta?: Schema.Json | undefined
  readonly prompt?: string | undefined
  readonly maxRounds?: number | undefined
}

type Refused = UnknownThread | ThreadRefused | LogStoreError

export interface ThreadControl {
  readonly pause: (threadId: string, reason: string) => Effect.Effect<WorkflowRun, Refused>
  readonly resume: (threadId: string, newCode: boolean) => Effect.Effect<WorkflowRun, Refused>
  readonly retry: (threadId: string, maxRounds?: number) => Effect.Effect<WorkflowRun, Refused>
  readonly fork: (request: ForkRequest) => Effect.Effect<Forked, Refused>
  readonly answer: (given: GivenAnswer) => Effect.Effect<WorkflowRun, Refused | AnswerRefused>
  readonly explain: (threadId: string) => Effect.Effect<Explanation, UnknownThread | LogStoreError>
}

export interface Options {
  readonly store: LogStore["Service"]
  readonly runtime: WorkflowRuntime
  readonly lane: (workflow: string) => Lane | undefined
  readonly newThreadId: (workflow: WorkflowRun["workflow"]) => Effect.Effect<ThreadId>
}

/** How long a worker may take to say whether an answer fits: it may have to be started for it. */
const checkTimeoutMs = 30_000

export const make = ({ lane, newThreadId, runtime, store }: Options): ThreadControl => {
  const find = Effect.fnUntraced(function* (text: string) {
    const threadId = Option.getOrUndefined(decodeThreadId(text))
    const run = threadId === undefined ? undefined : yield* store.run(threadId)
    if (run === undefined) return yield* new UnknownThread({ threadId: text })
    const own = lane(run.workflow)
    if (own !== undefined) return { run, own }
    return yield* refused(
      run,
      `its workflow ${run.workflow} is not in nerve.yaml`,
      "Put it back, then nerve can work on it."
    )
  })

  const again = (run: WorkflowRun) => Effect.map(store.run(run.threadId), (now) => now ?? run)

  /** Says why not, from the run as it is now. */
  const check = Effect.fnUntraced(function* (run: WorkflowRun, refusal: Refusal) {
    const now = yield* again(run)
    switch (refusal) {
      case undefined:
        return now
      case "unknown":
        return yield* refused(now, isActive(now.status) ? "it is not at work" : endedText(now))
      case "ending":
        return yield* refused(now, "its end is recorded already; its role is being stopped")
      case "paused":
        return yield* refused(now, `it is paused already: ${now.paused?.reason ?? ""}`)
      case "not-paused":
        return yield* refused(now, "it is not paused")
    }
  })

  const pause = Effect.fn("WorkflowManager.pause")(function* (threadId: string, reason: string) {
    const { own, run } = yield* find(threadId)
    return yield* check(run, yield* own.pause(run.threadId, reason))
  })

  const resume = Effect.fn("WorkflowManager.resume")(function* (threadId: string, newCode: boolean) {
    const { own, run } = yield* find(threadId)
    return yield* check(run, yield* own.resume(run.threadId, newCode))
  })

  const opened = (run: WorkflowRun): RunOpened => {
    const { dryRun, key, maxRounds, origin, parent, priority, prompt, workflow } = run
    return {
      workflow,
      prompt,
      maxRounds,
      dryRun,
      cause: "manual",
      ...(key === null ? {} : { key }),
      ...(priority === 0 ? {} : { priority }),
      ...(parent === null ? {} : { parent }),
      ...(origin === null ? {} : { origin })
    }
  }

  const retry = Effect.fn("WorkflowManager.retry")(function* (threadId: string, maxRounds?: number) {
    const { own, run } = yield* find(threadId)
    if (isActive(run.status)) return yield* refused(run, `it has not ended: it is ${run.phase ?? run.status}`)
    if (!isRetryable(run.status)) {
      const hint = `Fork it to go another way: nerve thread fork ${run.threadId} --round N`
      return yield* refused(run, "it has completed", hint)
    }
    const most = maxRounds ?? run.maxRounds
    if (run.rounds >= most) {
      const hint = `Give it more: nerve thread retry ${run.threadId} --max-rounds ${run.rounds + 10}`
      return yield* refused(run, `it has had all of its ${most} rounds`, hint)
    }
    const isTaken = yield* own.retry(run.threadId, { ...opened(run), maxRounds: most })
    return isTaken ? yield* again(run) : yield* refused(run, "somebody else retries it already")
  })

  const fork = Effect.fn("WorkflowManager.fork")(function* (request: ForkRequest): Effect.fn.Return<Forked, Refused> {
    const { own, run } = yield* find(request.threadId)
    const messages = yield* store.messages(run.threadId)
    const round = request.round ?? messages.length
    if (round > messages.length) return yield* refused(run, `it has only ${messages.length} rounds`)
    const edits = request.content !== undefined || request.meta !== undefined
    if (round === 0 && edits) return yield* refused(run, "there is no round 0 to edit", "Change the prompt instead.")
    const threadId = yield* newThreadId(run.workflow)
    const copied = messages.slice(0, round).map(({ content, meta, role, round: nth }) => {
      const edited = nth === round
      return RunLog.message(threadId, nth, {
        role,
        content: edited ? (request.content ?? content) : content,
        meta: edited && request.meta !== undefined ? request.meta : meta
      })
    })
    const { dryRun, priority, workflow } = run
    const admitted = yield* own.admit(
      threadId,
      {
        workflow,
        prompt: request.prompt ?? run.prompt,
        maxRounds: request.maxRounds ?? run.maxRounds,
        dryRun,
        cause: "manual",
        ...(priority === 0 ? {} : { priority }),
        origin: { threadId: run.threadId, round }
      },
      copied
    )
    if (admitted === undefined) return yield* refused(run, `its workflow ${run.workflow} has just left nerve.yaml`)
    const rerun = [...new Set(messages.slice(round).map(({ role }) => role))]
    return { threadId, status: admitted.status, rerun }
  })

  // --- answers -----------------------------------------------------------------------------------

  const checked = Effect.fnUntraced(function* (
    run: WorkflowRun,
    role: string,
    answer: Schema.Json
  ): Effect.fn.Return<Schema.Json, ThreadRefused | AnswerRefused> {
    const client = yield* runtime.client(run.workflow)
    return yield* client.CheckAnswer({ role, answer }, { timeoutMs: checkTimeoutMs }).pipe(
      Effect.catch((error): Effect.Effect<never, ThreadRefused | AnswerRefused> =>
        error._tag === "AnswerRefused"
          ? Effect.fail(error)
          : Effect.fail(refused(run, `the answer cannot be checked: ${error.message}`))
      ),
      Effect.catchDefect(() => Effect.fail(refused(run, "the answer cannot be checked: its worker knows no answers")))
    )
  })

  const answer = Effect.fn("WorkflowManager.answer")(function* (given: GivenAnswer) {
    const { own, run } = yield* find(given.threadId)
    const waits = yield* own.waitOf(run.threadId)
    if (waits === undefined || waits.wait._tag !== "Approval") {
      const why = isActive(run.status) ? "it does not wait for an answer" : endedText(run)
      return yield* refused(run, why, `See: nerve why ${run.threadId}`)
    }
    const { role, round, wait } = waits
    const { by, decision, reason } = given
    const told = decision === "approved" ? (given.answer ?? null) : null
    const answer = decision === "approved" && wait.schema !== null ? yield* checked(run, role, told) : told
    const meta: Decision = { decision, by, reason, answer }
    const isFirst = yield* own.settle(run.threadId, round, decided(role, meta))
    const now = yield* again(run)
    if (isFirst) return now
    return yield* refused(now, isActive(now.status) ? "somebody else has answered already" : endedText(now))
  })

  const explain = Effect.fn("WorkflowManager.explain")(function* (threadId: string) {
    const run = yield* store.run(threadId)
    if (run === undefined) return yield* new UnknownThread({ threadId })
    const situation = isActive(run.status) ? lane(run.workflow)?.situation(run.threadId) : undefined
    const { wait } = run
    const child =
      wait?.wait._tag === "Child" ? yield* Children.find(store, run.threadId, wait.round, wait.wait) : undefined
    const told = child === undefined ? [] : [`that thread is ${child.threadId}: nerve why ${child.threadId}`]
    return { run, lines: [...Why.explain(run, situation ?? null, yield* Clock.currentTimeMillis), ...told] }
  })

  return { pause, resume, retry, fork, answer, explain }
}

const refused = (run: WorkflowRun, why: string, hint = ""): ThreadRefused =>
  new ThreadRefused({ threadId: run.threadId, message: `thread ${run.threadId}: ${why}`, hint })

const endedText = (run: WorkflowRun): string => `it has ended already (${run.status})`

const decodeThreadId = Schema.decodeUnknownOption(ThreadId)
