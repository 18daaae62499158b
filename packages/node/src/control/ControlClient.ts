/**
 * Talks to the workspace's daemon over its control socket. A connection lives as long as one `use`;
 * there is no retry: a daemon that is not there, or goes away in the middle, is an error at once.
 */
import { ControlRpcs } from "@nerve/core/wire/ControlRpcs"
import * as NodeSocket from "@effect/platform-node-shared/NodeSocket"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as RpcClient from "effect/rpc/RpcClient"
import { RpcClientError } from "effect/rpc/RpcClientError"
import * as RpcSerialization from "effect/rpc/RpcSerialization"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type { Scope } from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as DaemonLock from "../daemon/DaemonLock.ts"
import type { Workspace } from "../daemon/Workspace.ts"

/** Nobody listens on the workspace's control socket. */
export class DaemonNotRunning extends Schema.TaggedError<DaemonNotRunning>()("DaemonNotRunning", {
  workspace: Schema.String,
  /** Of a daemon that lives and does not listen, or not any more: it is starting, or finishing threads. Else null. */
  pid: Schema.NullOr(Schema.Int)
}) {
  override get message(): string {
    return this.pid === null
      ? `no daemon runs in ${this.workspace}`
      : `the daemon of ${this.workspace} (pid ${this.pid}) is stopping, or has only just started`
  }
  get hint(): string {
    return this.pid === null ? "start one with: nerve dev" : "try again in a moment; if that does not help: nerve dev"
  }
}

/** The daemon was there and went away, or does not answer. What was asked may have been done or not. */
export class DaemonLost extends Schema.TaggedError<DaemonLost>()("DaemonLost", {
  workspace: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `lost the daemon of ${this.workspace}: ${this.detail}`
  }
}

/** One method per RPC: an Effect, or a Stream for `TailLogs`. */
export type ControlClient = RpcClient.FromGroup<typeof ControlRpcs, RpcClientError>

/** How long a silent daemon is asked whether it is still there, and then waited for. */
const pingInterval = "5 seconds"

const isRpcClientError = (error: unknown): error is RpcClientError => error instanceof RpcClientError

/** `ENOENT`: no socket file. `ECONNREFUSED`: one that a dead daemon left. `ENOTSOCK`: something else. */
const absent: ReadonlySet<unknown> = new Set(["ENOENT", "ECONNREFUSED", "ENOTSOCK"])

const codeOf = (cause: unknown): unknown =>
  typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined

const translate = (
  workspace: Workspace,
  error: RpcClientError,
  holder: number | null
): DaemonNotRunning | DaemonLost => {
  const { reason } = error
  if (reason._tag === "SocketOpenError") {
    const { cause } = reason
    if (absent.has(codeOf(cause))) {
      return new DaemonNotRunning({ workspace: workspace.root, pid: holder })
    }
    return new DaemonLost({
      workspace: workspace.root,
      detail: cause instanceof Error ? cause.message : "the connection could not be opened"
    })
  }
  // A connection that is reset, as a killed process leaves it, is a read error as a silent one is, but has a code.
  const silent = reason._tag === "SocketReadError" && codeOf(reason.cause) === undefined
  return new DaemonLost({
    workspace: workspace.root,
    detail: silent ? "it does not answer" : "it ended before it had answered"
  })
}

/**
 * A stopping server interrupts what it is working on, and a write to a socket that has just closed is
 * a defect: both are, for the caller, the daemon's going.
 */
const isLost = (cause: Cause.Cause<unknown>): boolean =>
  Cause.hasInterruptsOnly(cause) || (Cause.hasDies(cause) && Socket.isSocketError(Cause.squash(cause)))

const connect = (path: string): Effect.Effect<ControlClient, never, Scope> =>
  Effect.gen(function* () {
    const socket = yield* NodeSocket.makeNet({ path, openTimeout: pingInterval })
    const protocol = yield* RpcClient.makeProtocolSocket({ pingInterval, retryPolicy: Schedule.recurs(0) }).pipe(
      Effect.provideService(Socket.Socket, socket),
      Effect.provideService(RpcSerialization.RpcSerialization, RpcSerialization.ndjson)
    )
    return yield* RpcClient.make(ControlRpcs, { disableTracing: true }).pipe(
      Effect.provideService(RpcClient.Protocol, protocol)
    )
  })

/**
 * Connects, hands the client to `f`, and closes the connection when `f` is done: what it left running
 * is interrupted in the daemon. Errors of the connection become `DaemonNotRunning` and `DaemonLost`.
 */
export const use = <A, E, R>(
  workspace: Workspace,
  f: (client: ControlClient) => Effect.Effect<A, E | RpcClientError, R>
): Effect.Effect<A, Exclude<E, RpcClientError> | DaemonNotRunning | DaemonLost, R> =>
  DaemonLock.readInfo(workspace).pipe(
    Effect.flatMap((info) => Effect.scoped(Effect.flatMap(connect(info?.socket ?? workspace.socket), f))),
    Effect.catchIf(isRpcClientError, (error) =>
      Effect.flatMap(DaemonLock.holder(workspace), (holder) => Effect.fail(translate(workspace, error, holder)))
    ),
    Effect.catchCause((cause) =>
      isLost(cause)
        ? Effect.fail(new DaemonLost({ workspace: workspace.root, detail: "it stopped before it had answered" }))
        : Effect.failCause(cause)
    )
  )
