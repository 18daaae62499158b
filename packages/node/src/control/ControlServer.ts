/**
 * Serves `ControlRpcs` on the workspace's control socket. It owns the socket file: whoever holds the
 * `DaemonLock` may take a stale one away, and nobody else. Only the owner's processes can connect.
 */
import { ControlRpcs } from "@nerve/core/wire/ControlRpcs"
import * as NodeSocketServer from "@effect/platform-node-shared/NodeSocketServer"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Rpc from "effect/rpc/Rpc"
import type * as RpcGroup from "effect/rpc/RpcGroup"
import * as RpcSerialization from "effect/rpc/RpcSerialization"
import * as RpcServer from "effect/rpc/RpcServer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as Fs from "node:fs"
import { DaemonLock } from "../daemon/DaemonLock.ts"

/** The control socket could not be opened. */
export class ControlServerFailed extends Schema.TaggedError<ControlServerFailed>()("ControlServerFailed", {
  socket: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `cannot listen on ${this.socket}: ${this.cause instanceof Error ? this.cause.message : String(this.cause)}`
  }
}

/** What the handlers of `ControlRpcs` provide. */
export type Handlers = Rpc.ToHandler<RpcGroup.Rpcs<typeof ControlRpcs>>

/**
 * A client that is stopped (Ctrl-Z) and no longer reads would hold the server's close back for ever,
 * and with it the daemon's stop.
 */
const closeBound = "2 seconds"

const closeWithin = (scope: Scope.Closeable): Effect.Effect<void> =>
  Effect.forkDetach(Scope.close(scope, Exit.void), { startImmediately: true }).pipe(
    Effect.flatMap((fiber) => Effect.timeoutOption(Effect.interruptible(Fiber.await(fiber)), closeBound)),
    Effect.asVoid
  )

const remove = (socket: string): Effect.Effect<void> => Effect.sync(() => Fs.rmSync(socket, { force: true }))

const listen = (
  socket: string
): Effect.Effect<SocketServer.SocketServer["Service"], ControlServerFailed, Scope.Scope> =>
  NodeSocketServer.make({ path: socket }).pipe(
    Effect.mapError((error) => new ControlServerFailed({ socket, cause: error.reason.cause })),
    // The folder is closed to others already (see `Workspace.prepareRunDir`); the file is so too.
    Effect.tap(() => Effect.sync(() => Fs.chmodSync(socket, 0o600)))
  )

/** A client that hangs up in the middle of something is nothing to report. */
const hushed = (server: SocketServer.SocketServer["Service"]): SocketServer.SocketServer["Service"] =>
  SocketServer.SocketServer.of({
    address: server.address,
    run: (handler) =>
      server.run((socket) =>
        Effect.catchDefect(handler(socket), (defect) =>
          Socket.isSocketError(defect)
            ? Effect.logDebug("a control client hung up", defect.message)
            : Effect.die(defect)
        )
      )
  })

const serve = Effect.gen(function* () {
  const { info } = yield* DaemonLock
  const scope = yield* Effect.acquireRelease(Scope.make(), closeWithin)
  yield* remove(info.socket)
  yield* Effect.addFinalizer(() => remove(info.socket))
  yield* Effect.gen(function* () {
    const server = hushed(yield* listen(info.socket))
    const protocol = yield* RpcServer.makeProtocolSocketServer.pipe(
      Effect.provideService(SocketServer.SocketServer, server),
      Effect.provideService(RpcSerialization.RpcSerialization, RpcSerialization.ndjson)
    )
    yield* RpcServer.make(ControlRpcs, { disableFatalDefects: true }).pipe(
      Effect.provideService(RpcServer.Protocol, protocol),
      Effect.forkScoped({ startImmediately: true })
    )
  }).pipe(Effect.provideService(Scope.Scope, scope))
})

/** Serves while the layer lives; the socket file is gone when it has closed. */
export const layer: Layer.Layer<never, ControlServerFailed, DaemonLock | Handlers> = Layer.effectDiscard(serve)
