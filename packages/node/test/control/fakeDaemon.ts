/**
 * A control server with handlers that answer from fixed data. In `watch` it counts what is running,
 * so that a test sees an interruption arrive.
 */
import { ThreadId } from "@nerve/core/domain/Ids"
import type { LogEntry } from "@nerve/core/domain/LogEntry"
import { ControlRpcs, type DaemonStatus, UnknownSense, UnknownThread } from "@nerve/core/wire/ControlRpcs"
import * as ControlServer from "@nerve/node/control/ControlServer"
import * as DaemonLock from "@nerve/node/daemon/DaemonLock"
import type * as Workspace from "@nerve/node/daemon/Workspace"
import { Effect, Layer, Queue, Stream } from "effect"
import { noStore } from "../../../runtime/test/control/noStore.ts"

export type Watched = "tail started" | "tail interrupted" | "kill started" | "kill interrupted"

export const status = (workspace: string): DaemonStatus => ({
  version: "0.1.0",
  pid: process.pid,
  hostname: "host",
  workspace,
  startedAt: 1_000,
  uptimeMs: 2_000,
  senses: [],
  workflows: [],
  workers: []
})

export const entry = (id: number): LogEntry => ({
  id,
  source: "sense",
  type: "signal",
  refId: "cpu",
  payload: { usage: id / 10 },
  round: null,
  timestamp: 1_000 + id
})

const handlers = (workspace: Workspace.Workspace, watch: Queue.Queue<Watched>) =>
  ControlRpcs.toLayer({
    GetStatus: () => Effect.succeed(status(workspace.root)),
    QueryLogs: (query) => Effect.succeed(Array.from({ length: query.limit ?? 3 }, (_, index) => entry(index + 1))),
    // Three entries, then silence until the client goes away.
    TailLogs: () =>
      Stream.concat(Stream.fromIterable([entry(1), entry(2), entry(3)]), Stream.never).pipe(
        Stream.onStart(Queue.offer(watch, "tail started")),
        Stream.ensuring(Queue.offer(watch, "tail interrupted"))
      ),
    TriggerSense: ({ sense }) => Effect.fail(new UnknownSense({ sense, known: ["cpu"] })),
    ListTicks: ({ sense }) => Effect.fail(new UnknownSense({ sense, known: ["cpu"] })),
    TriggerWorkflow: () => Effect.succeed({ threadId: ThreadId.make("t1"), status: "started" as const }),
    ListThreads: () => Effect.die(new Error("a handler's defect")),
    ShowThread: ({ threadId }) => Effect.fail(new UnknownThread({ threadId })),
    KillThread: () =>
      Queue.offer(watch, "kill started").pipe(
        Effect.andThen(Effect.never),
        Effect.onInterrupt(() => Queue.offer(watch, "kill interrupted"))
      ),
    CancelThread: () => Effect.succeed(false),
    PauseThread: ({ threadId }) => Effect.fail(new UnknownThread({ threadId })),
    ResumeThread: ({ threadId }) => Effect.fail(new UnknownThread({ threadId })),
    RetryThread: ({ threadId }) => Effect.fail(new UnknownThread({ threadId })),
    ForkThread: ({ threadId }) => Effect.fail(new UnknownThread({ threadId })),
    AnswerThread: ({ threadId }) => Effect.fail(new UnknownThread({ threadId })),
    AwaitThread: ({ threadId }) => Effect.fail(new UnknownThread({ threadId })),
    ExplainThread: ({ threadId }) => Effect.fail(new UnknownThread({ threadId })),
    PauseWorkflow: () => Effect.succeed(true),
    ResumeWorkflow: () => Effect.succeed(true),
    ...noStore,
    ReloadWorkspace: () =>
      Effect.succeed({ changes: [], senses: [], workflows: [], config: { since: 0, refused: null, restart: [] } }),
    StopDaemon: () => Effect.void
  })

/** Serves in the workspace, lock included. */
export const layer = (workspace: Workspace.Workspace, watch: Queue.Queue<Watched>) =>
  ControlServer.layer.pipe(
    Layer.provide(handlers(workspace, watch)),
    Layer.provide(DaemonLock.layer(workspace, { version: "0.1.0" }))
  )
