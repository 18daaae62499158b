/**
 * A daemon as the command line sees one: the real lock and control socket, over fixed data.
 */
import { ThreadId } from "@nerve/core/domain/Ids"
import { type LogEntry, matches } from "@nerve/core/domain/LogEntry"
import type { Tick } from "@nerve/core/domain/Tick"
import { ControlRpcs, UnknownSense, UnknownThread, UnknownWorkflow } from "@nerve/core/wire/ControlRpcs"
import { AnswerRefused } from "@nerve/core/wire/WorkflowRpcs"
import * as ControlServer from "@nerve/node/control/ControlServer"
import * as DaemonLock from "@nerve/node/daemon/DaemonLock"
import * as Workspace from "@nerve/node/daemon/Workspace"
import { Effect, Layer, PubSub, Stream } from "effect"
import { run, tick } from "../../../core/test/domain/samples.ts"
import { daemonStatus, senseView, workflowView } from "../../../core/test/wire/samples.ts"
import { noStore } from "../../../runtime/test/control/noStore.ts"

export const status = (workspace: string) =>
  daemonStatus({
    pid: process.pid,
    workspace,
    senses: [senseView("cpu-usage", { group: "system", intervalMs: 2_000, computes: 3, signals: 2 })],
    workflows: ["investigate", "full"].map((name) => workflowView(name)),
    workers: [{ key: "sense:system", state: "ready", pid: 43, incarnation: 1, crashes: 0 }]
  })

const prompt = "Why is the CPU busy?"

export const runs = [
  run({
    threadId: "t-bbb3",
    status: "failed",
    exitCode: 1,
    reason: "the role gave up",
    prompt,
    rounds: 1,
    endedAt: 2_000
  }),
  run({ threadId: "t-aab2", prompt, rounds: 1 }),
  run({ threadId: "t-aaa1", status: "completed", exitCode: 0, prompt, rounds: 1, endedAt: 2_000 })
]

export const entries: ReadonlyArray<LogEntry> = Array.from({ length: 1_200 }, (_, index) => ({
  id: index + 1,
  source: index % 3 === 0 ? "worker" : "sense",
  type: index % 3 === 0 ? "output" : "signal",
  refId: index % 2 === 0 ? "cpu-usage" : "disk",
  payload: { usage: index, note: "x".repeat(60) },
  round: null,
  timestamp: 1_000_000 + index
}))

export const ticks: ReadonlyArray<Tick> = [
  tick(4, "cpu-usage", { outcome: "signal", signal: 31, threads: ["t-aaa1"] }),
  tick(3, "cpu-usage", {
    outcome: "error",
    detail: "no such file",
    lines: [{ level: "Info", message: "looked", fields: {} }]
  }),
  tick(2, "cpu-usage", { outcome: "collapsed", count: 7, startedAt: null, durationMs: null }),
  tick(1, "cpu-usage")
]

const live: LogEntry = {
  id: 2_000,
  source: "sense",
  type: "signal",
  refId: "disk",
  payload: { usage: "live" },
  round: null,
  timestamp: 2_000_000
}

/** The run, or that there is none. */
const found = (threadId: string) => {
  const run = runs.find((run) => run.threadId === threadId)
  return run === undefined ? Effect.fail(new UnknownThread({ threadId })) : Effect.succeed(run)
}

const ofWorkflow = (workflow: string) =>
  workflow === "investigate"
    ? Effect.succeed(true)
    : Effect.fail(new UnknownWorkflow({ workflow, known: ["full", "investigate"] }))

const handlers = (root: string, wake: PubSub.PubSub<LogEntry>) =>
  ControlRpcs.toLayer({
    ...noStore,
    GetStatus: () => Effect.succeed(status(root)),
    QueryLogs: (query) =>
      Effect.sync(() => {
        const { cursor, limit = 100, order = "asc" } = query
        const found = entries.filter(
          (entry) =>
            matches(query, entry) && (cursor === undefined || (order === "asc" ? entry.id > cursor : entry.id < cursor))
        )
        return (order === "asc" ? found : found.reverse()).slice(0, limit)
      }),
    TailLogs: (query) =>
      query.refId?.startsWith("t-") === true
        ? Stream.make({ ...live, source: "workflow" as const, type: "completed" })
        : Stream.concat(
            Stream.fromIterable(entries.filter((entry) => matches(query, entry) && entry.id > (query.cursor ?? 1e9))),
            Stream.concat(Stream.make(live), Stream.fromPubSub(wake))
          ),
    TriggerSense: ({ sense }) =>
      sense === "cpu-usage" ? Effect.void : Effect.fail(new UnknownSense({ sense, known: ["cpu-usage"] })),
    ListTicks: ({ before = 1e9, limit = 20, outcome, sense }) =>
      sense === "cpu-usage"
        ? Effect.succeed(
            ticks
              .filter((tick) => tick.id < before && (outcome === undefined || tick.outcome === outcome))
              .slice(0, limit)
          )
        : Effect.fail(new UnknownSense({ sense, known: ["cpu-usage"] })),
    TriggerWorkflow: ({ maxRounds, prompt, workflow }) => {
      if (workflow === "full") return Effect.succeed({ threadId: ThreadId.make("t-drop"), status: "dropped" as const })
      if (workflow !== "investigate") {
        return Effect.fail(new UnknownWorkflow({ workflow, known: ["full", "investigate"] }))
      }
      // The thread's id tells what arrived; "fail" stands for a thread that will fail.
      const id =
        prompt === "fail" ? "t-bbb3" : prompt === "fine" ? "t-aaa1" : `t-new-${prompt}-${maxRounds ?? "default"}`
      return Effect.succeed({ threadId: ThreadId.make(id), status: "started" as const })
    },
    ListThreads: ({ limit, status, workflow }) =>
      Effect.succeed(
        runs
          .filter(
            (run) =>
              (workflow === undefined || run.workflow === workflow) && (status === undefined || run.status === status)
          )
          .slice(0, limit)
      ),
    ShowThread: ({ afterRound = 0, limit = 100, threadId }) => {
      const run = runs.find((run) => run.threadId === threadId)
      const messages = Array.from({ length: run?.rounds ?? 0 }, (_, index) => ({
        round: index + 1,
        role: "collector",
        content: `load ${7 + index}`,
        meta: null,
        timestamp: 1_500
      }))
      return run === undefined
        ? Effect.fail(new UnknownThread({ threadId }))
        : Effect.succeed({ run, messages: messages.slice(afterRound, afterRound + limit) })
    },
    KillThread: ({ threadId }) => Effect.succeed(threadId === "t-aab2"),
    CancelThread: ({ threadId }) => Effect.succeed(threadId === "t-aab2"),
    PauseThread: ({ threadId }) => found(threadId),
    ResumeThread: ({ threadId }) => found(threadId),
    RetryThread: ({ threadId }) => found(threadId),
    ForkThread: ({ threadId }) =>
      Effect.map(found(threadId), () => ({
        threadId: ThreadId.make("t-fork"),
        status: "started" as const,
        rerun: ["reporter"]
      })),
    AnswerThread: ({ answer, threadId }) =>
      answer === "wrong"
        ? Effect.fail(new AnswerRefused({ role: "gate", path: "answer.amount", issue: "Expected number" }))
        : found(threadId),
    AwaitThread: ({ threadId }) => found(threadId),
    ExplainThread: ({ threadId }) => Effect.map(found(threadId), (run) => ({ run, lines: ["next in the queue"] })),
    PauseWorkflow: ({ workflow }) => ofWorkflow(workflow),
    ResumeWorkflow: ({ workflow }) => ofWorkflow(workflow),
    ReloadWorkspace: () =>
      Effect.succeed({
        changes: ["sense cpu: interval 5s -> 1s"],
        senses: ["disk"],
        workflows: [],
        config: { since: 0, refused: null, restart: [] }
      }),
    StopDaemon: () => Effect.void
  })

/** Serves in the workspace until the scope closes. */
export const serve = (root: string) =>
  Effect.gen(function* () {
    const wake = yield* PubSub.unbounded<LogEntry>()
    yield* Layer.build(
      ControlServer.layer.pipe(
        Layer.provide(handlers(root, wake)),
        Layer.provide(DaemonLock.layer(Workspace.make(root), { version: "0.1.0" }))
      )
    )
  })
