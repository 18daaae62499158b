/**
 * One thread, round by round: read its messages from the log, ask the workflow's worker for the next
 * round, append it, again. All it knows is in the log, so a thread can be taken up after any death,
 * and a finished round is never run again (M7).
 *
 * It appends rounds and crashes; the end of the run is its caller's to record, because a slot becomes
 * free with it.
 */
import type { ThreadId, WorkflowName } from "@nerve/core/domain/Ids"
import type { PauseCause, ThreadMessage, ThreadStart } from "@nerve/core/domain/Thread"
import type { OnChange } from "@nerve/core/config/NerveConfig"
import { PauseRecorded, RoundRecorded, RunEnded } from "@nerve/core/domain/RunProjection"
import { maxLength } from "@nerve/core/wire/Frame"
import type { RoundOutcome, WaitRequest, WorkflowRpcs } from "@nerve/core/wire/WorkflowRpcs"
import * as Budget from "@nerve/core/workflow/Budget"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as RpcGroup from "effect/rpc/RpcGroup"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type { WorkerClient } from "../ipc/WorkerClient.ts"
import { LogStore } from "../log/LogStore.ts"
import { untilStored } from "./internal/untilStored.ts"
import * as RunLog from "./RunLog.ts"

/** The client of a workflow's worker, as far as a loop needs it. */
export type RoundClient = WorkerClient<RpcGroup.Rpcs<typeof WorkflowRpcs>>

/** How a thread's loop ended. */
export type ThreadOutcome =
  /** The moderator said END. */
  | { readonly _tag: "Completed" }
  | { readonly _tag: "RoundsExhausted"; readonly maxRounds: number }
  /** A role or the moderator failed, or the workflow does not load. */
  | { readonly _tag: "Failed"; readonly reason: string; readonly cost?: RunLog.Cost }
  /** The respawn policy gave the worker up. */
  | { readonly _tag: "GivenUp"; readonly reason: string }
  /** Its code changed, and the workflow's policy is to end who began on the old one. */
  | { readonly _tag: "Interrupted"; readonly reason: string }
  /** A role asked to wait: the thread gives its slot up until round `round` is answered. */
  | {
      readonly _tag: "Waits"
      readonly round: number
      readonly role: string
      readonly request: WaitRequest
      readonly version: string | null
    }
  /** It holds still until somebody resumes it. */
  | {
      readonly _tag: "Pauses"
      readonly by: PauseCause
      readonly reason: string
      readonly rounds?: number
      readonly cost?: RunLog.Cost
    }
  /** It was asked to hold still, and does from here on; that is in the log already. */
  | { readonly _tag: "Halted" }
  /** The worker was stopped under the round: the run is not over, it goes on in the next worker. */
  | { readonly _tag: "Stopped" }

export interface Options {
  readonly client: (workflow: WorkflowName) => Effect.Effect<RoundClient>
  /** What the config says of threads whose code has changed; `finish-on-old` unless told. */
  readonly onChange?: (workflow: WorkflowName) => OnChange
  /** Whether the thread is to hold still before its next round. */
  readonly halted?: (threadId: ThreadId) => boolean
  /** What a thread of the workflow may take before it pauses; no bound unless told. */
  readonly budget?: (workflow: WorkflowName) => Budget.Budget | null
}

/** Of each kind that a budget looks back at: who retries more often has other worries. */
const MOST_FAILURES = 1_000

/** Between two tries when the worker's mailbox is full. */
const mailboxRetry = Schedule.spaced("1 second")

/** A function that runs a thread to its end. */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<(threadId: ThreadId) => Effect.Effect<ThreadOutcome>, never, LogStore> {
  const store = yield* LogStore

  const record = Effect.fnUntraced(function* (threadId: ThreadId, round: number, spoke: RoundRecorded) {
    const entry = yield* untilStored(store.append(RunLog.message(threadId, round, spoke)))
    // If the round was recorded before, what is recorded counts, not what was answered now.
    const recorded = yield* Effect.orDie(decodeRecorded(entry.payload))
    return { ...recorded, round, timestamp: entry.timestamp } satisfies ThreadMessage
  })

  /**
   * From which round on a budget counts, and what failed since: a thread that was paused by it and goes on
   * was told to.
   */
  const counted = Effect.fnUntraced(function* (threadId: ThreadId) {
    const latest = (type: string) =>
      untilStored(store.query({ source: "workflow", type, refId: threadId, order: "desc", limit: MOST_FAILURES }))
    const pauses = (yield* latest("paused")).flatMap(({ id, payload }) =>
      Option.match(decodePause(payload), { onNone: () => [], onSome: (pause) => [{ id, ...pause }] })
    )
    const last = pauses.find(({ by }) => by === "budget")
    const ends = (yield* latest("failed")).flatMap(({ id, payload }) =>
      Option.match(decodeEnded(payload), { onNone: () => [], onSome: (end) => [{ id, ...end }] })
    )
    const since = last?.id ?? 0
    const failed = [...pauses, ...ends].flatMap(({ id, usage }) => (id > since && usage !== undefined ? [usage] : []))
    return { from: last?.rounds ?? 0, failed }
  })

  const converse = Effect.fnUntraced(function* (
    start: ThreadStart,
    /** The code that it is to run on; any until a round has run. */
    pinned: string | null
  ): Effect.fn.Return<ThreadOutcome> {
    const { threadId } = start
    const worker = yield* options.client(start.workflow)
    const steps = [...(yield* untilStored(store.messages(threadId)))]
    let since: Effect.Success<ReturnType<typeof counted>> | undefined
    let version = pinned
    for (;;) {
      if (options.halted?.(threadId) === true) return { _tag: "Halted" }
      const budget = options.budget?.(start.workflow) ?? null
      if (budget !== null) since ??= yield* counted(threadId)
      const over = budget === null ? undefined : Budget.exceeded(budget, steps, since?.from, since?.failed)
      if (over !== undefined) return { _tag: "Pauses", by: "budget", reason: over, rounds: steps.length }
      const answer = yield* ask(worker, start, steps, version)
      switch (answer._tag) {
        case "Spoke": {
          if (steps.length >= start.maxRounds) return { _tag: "RoundsExhausted", maxRounds: start.maxRounds }
          const { _tag, version: ran = null, ...said } = answer
          const spoke = ran === null ? said : { ...said, version: ran }
          steps.push(yield* record(threadId, steps.length + 1, spoke))
          version ??= ran
          break
        }
        case "Waits":
          return {
            _tag: "Waits",
            round: steps.length + 1,
            role: answer.role,
            request: answer.request,
            version: answer.version ?? null
          }
        case "Pauses":
          return {
            _tag: "Pauses",
            by: "failure",
            reason: `role ${answer.role}: ${answer.reason}`,
            cost: costOf(answer)
          }
        case "CodeChanged": {
          const outcome = changed(options.onChange?.(start.workflow) ?? "finish-on-old", answer.reason)
          if (outcome !== undefined) return outcome
          yield* untilStored(store.append(RunLog.resumed(threadId, { newCode: true, reason: answer.reason })))
          version = null
          break
        }
        case "Ended":
          return { _tag: "Completed" }
        case "Exhausted":
          return { _tag: "RoundsExhausted", maxRounds: start.maxRounds }
        case "Died":
          // Asked again below; the call itself waits until the worker is back or given up.
          yield* untilStored(store.append(RunLog.crashed(start.threadId, answer.reason, false)))
          break
        case "Over":
          return answer.outcome
      }
    }
  })

  return Effect.fnUntraced(function* (threadId) {
    const run = yield* untilStored(store.run(threadId))
    if (run === undefined) return { _tag: "Failed", reason: "the log has no such thread" }
    const { dryRun, maxRounds, prompt, workflow } = run
    return yield* converse({ threadId, workflow, prompt, maxRounds, dryRun }, run.version).pipe(
      Effect.annotateLogs({ "nerve.workflow": workflow, "nerve.thread": threadId })
    )
  })
})

/** What the policy makes of a thread whose code has changed; none when it goes on with the new code. */
const changed = (policy: OnChange, reason: string): ThreadOutcome | undefined => {
  switch (policy) {
    case "resume-on-new-code":
      return undefined
    case "interrupt":
      return { _tag: "Interrupted", reason }
    case "finish-on-old":
      return { _tag: "Pauses", by: "code", reason }
  }
}

const decodePause = Schema.decodeUnknownOption(PauseRecorded)
const decodeEnded = Schema.decodeUnknownOption(RunEnded)
const decodeRecorded = Schema.decodeUnknownEffect(RoundRecorded)

/** What became of a request for a round. */
type Answer =
  | RoundOutcome
  | { readonly _tag: "CodeChanged"; readonly reason: string }
  | { readonly _tag: "Died"; readonly reason: string }
  | { readonly _tag: "Over"; readonly outcome: ThreadOutcome }

type RoundError = Effect.Error<ReturnType<RoundClient["RunRound"]>>

const ask = (
  worker: RoundClient,
  start: ThreadStart,
  steps: ReadonlyArray<ThreadMessage>,
  version: string | null
): Effect.Effect<Answer> =>
  // A copy: the request may wait for a respawn while the conversation grows only after its answer.
  worker.RunRound({ start, steps: [...steps], ...(version === null ? {} : { version }) }).pipe(
    Effect.retry({ schedule: mailboxRetry, while: (error) => error._tag === "MailboxFull" }),
    Effect.catch((error) => Effect.succeed(judge(error))),
    Effect.catchDefect((defect) => Effect.succeed(failed(`the round died: ${Cause.pretty(Cause.die(defect))}`)))
  )

/** Each round is sent the whole conversation. */
const outgrown =
  `the conversation has outgrown the ${maxLength / 1024 / 1024} MB that a round can be sent: ` +
  "have roles write large things to files and answer their names, and fork it from an earlier round"

const failed = (reason: string, cost?: RunLog.Cost): Answer => ({
  _tag: "Over",
  outcome: { _tag: "Failed", reason, ...(cost === undefined ? {} : { cost }) }
})

const costOf = ({ durationMs, usage }: RunLog.Cost): RunLog.Cost => ({
  ...(durationMs === undefined ? {} : { durationMs }),
  ...(usage === undefined ? {} : { usage })
})

const judge = (error: RoundError): Answer => {
  switch (error._tag) {
    case "RoleFailed":
      return failed(`role ${error.role}: ${error.message}`, costOf(error))
    case "ModeratorFailed":
      return failed(`the moderator failed: ${error.message}`)
    case "CodeChanged":
      return { _tag: "CodeChanged", reason: error.message }
    case "ProtocolViolation":
      return failed(error.tooLarge === true ? outgrown : error.message)
    case "UnknownRole":
    case "WorkflowUnavailable":
    case "CallTimeout":
    case "MailboxFull":
      return failed(error.message)
    case "WorkerDied":
      return { _tag: "Died", reason: error.message }
    case "RespawnLimitReached":
      return { _tag: "Over", outcome: { _tag: "GivenUp", reason: `worker given up: ${error.message}` } }
    case "WorkerStopped":
      return { _tag: "Over", outcome: { _tag: "Stopped" } }
  }
}
