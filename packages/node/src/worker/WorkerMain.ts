/**
 * Runs a program in a worker process: opens the channel on fd 3, waits for the parent's first frame,
 * provides the port, and sees that what was sent has left before the process exits.
 *
 * When the pipe ends the parent is gone: the program is interrupted and the process exits, by force
 * if the program does not give way, and takes its process group with it. What a stuck event loop cannot
 * do, the wardens do.
 */
import * as Frame from "@nerve/core/wire/Frame"
import type { Channel } from "@nerve/runtime/ipc/Channel"
import * as Worker from "@nerve/runtime/ipc/Worker"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import { Socket } from "node:net"
import * as PipeChannel from "../ipc/PipeChannel.ts"
import { nodeModule, util } from "./builtins.ts"
import * as lastWords from "./lastWords.ts"
import * as spareFrames from "./spareFrames.ts"
import * as vitals from "./vitals.ts"

/** After the parent has gone, how long the program may take to give way. */
const orphanGraceMs = 1000

/** After its start, when a worker keeps what it has compiled: its first calls come before that. */
const keepCompiledMs = 1000

/** What was compiled is kept by Node when a process exits. One that is killed would leave nothing to the next. */
const keepCompiled = (): void => void setTimeout(() => nodeModule.flushCompileCache(), keepCompiledMs).unref()

const openChannel = (): Socket => {
  try {
    return new Socket({ fd: 3, readable: true, writable: true })
  } catch {
    process.stderr.write("a nerve worker is started by nerve: there is no channel on file descriptor 3\n")
    return process.exit(2)
  }
}

/**
 * Makes what is printed leave at once. The pipes are sockets here, which take some 300 small writes
 * ahead; what is beyond waits in the process, and is lost when user code calls `process.exit`.
 */
const printAtOnce = (stream: NodeJS.WriteStream): void => {
  // Node has no public way to say so; without the handle, output is what it was.
  const { _handle: handle } = stream as { readonly _handle?: { readonly setBlocking?: (on: boolean) => void } }
  handle?.setBlocking?.(true)
}

/** Kills what this process has started, unless it left the group; this process as well. */
const killOwnGroup = (): void => {
  try {
    process.kill(-process.pid, "SIGKILL")
  } catch {
    // Started by hand, it leads no group: then there is none to kill.
  }
}

/** Hands the first frame to `boot`; later ones wait until `Worker.serve` takes them. A spare is assigned before that. */
const withInit = (
  channel: Channel,
  boot: (init: Extract<Frame.ToWorker, { readonly t: "init" }>) => void,
  assigned?: (frame: spareFrames.Assign) => void
) => {
  const early: Array<unknown> = []
  let booted = false
  channel.onFrameUnsafe((raw) => {
    if (!booted && assigned !== undefined && spareFrames.isAssign(raw)) return assigned(raw)
    const frame = Frame.toWorker(raw)
    if (booted || typeof frame === "string" || frame.t !== "init") return void early.push(raw)
    booted = true
    boot(frame)
  })
  return early
}

/** The channel as the program sees it: frames that came while it loaded are delivered first. */
const replaying = (channel: Channel, early: ReadonlyArray<unknown>): Channel => ({
  ...channel,
  onFrameUnsafe: (receive) => {
    channel.onFrameUnsafe(receive)
    for (const frame of early) receive(frame)
  }
})

/** A spare becomes what a process would be that was started for this worker, as far as user code can tell. */
const become = ({ args, cwd, env, module }: spareFrames.Assign): void => {
  process.argv.splice(2, process.argv.length, module, ...args)
  Object.assign(process.env, env)
  if (cwd !== null) process.chdir(cwd)
}

/** Frames that say nothing to whoever wrote the module: Node's own, and those of the bundle that this is a part of. */
const isOurs = (frame: string): boolean => /^\s+at .*(?:node:internal\/|\/dist\/[\w-]+\.mjs:)/.test(frame)

/**
 * Why a module could not be loaded. Where its text is no JavaScript, only Node knows the place: that is left to Node, which
 * prints the line. All else would be printed with a line of this bundle, which is very long.
 */
const cannotLoad = (error: unknown): string => {
  if (error instanceof SyntaxError) throw error
  const text = error instanceof Error ? util().inspect(error) : String(error)
  return text
    .split("\n")
    .filter((line) => !isOurs(line))
    .join("\n")
}

type Load = () => Promise<Worker.Program>

/**
 * Runs the program that `load` gives and exits the process: 0 when it ends, 1 when it fails.
 * `load` runs while the parent's first frame is on its way; that of a spare, once it is told what it is,
 * and `warm` before that.
 */
export const run = (load: Load, spare?: { readonly warm: () => Promise<unknown> }): void => {
  printAtOnce(process.stdout)
  printAtOnce(process.stderr)
  const socket = openChannel()
  let leaving = false
  // Whoever stops a worker kills its group when it is gone. An orphan has nobody who would.
  const orphaned = () => {
    if (!leaving) process.removeListener("exit", killOwnGroup).once("exit", killOwnGroup)
  }
  // Before the channel's own listeners: at its end some of them exit.
  socket.once("end", orphaned).once("close", orphaned)
  const channel = PipeChannel.makeUnsafe(socket)
  // Also when user code exits: an answer that was given has left, and it has often just said why.
  process.once("exit", () => lastWords.write(socket, channel))
  let loading: ReturnType<Load>
  const begin = () => {
    loading = load()
    // It is awaited below, after the first frame; until then a rejection is not an unhandled one.
    loading.catch(() => {})
  }
  if (spare === undefined) begin()

  const leave = (code: number) => {
    leaving = true
    channel.onEndUnsafe(() => process.exit(code))
    if (socket.destroyed) return process.exit(code)
    socket.once("finish", () => process.exit(code))
    channel.closeUnsafe()
  }

  const start = async (init: Extract<Frame.ToWorker, { readonly t: "init" }>) => {
    const program = await loading
    keepCompiled()
    const { incarnation, key } = init
    const port = { channel: replaying(channel, early), key, incarnation, init: init.init, vitals: vitals.make() }
    const fiber = Effect.runFork(
      Effect.scoped(program).pipe(
        Effect.provideService(Worker.WorkerPort, port),
        Effect.provide(Logger.layer([Worker.logger(channel)]))
      )
    )
    fiber.addObserver((exit) => {
      if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return leave(0)
      process.stderr.write(`${Cause.pretty(exit.cause)}\n`)
      leave(1)
    })
    socket.once("close", () => {
      fiber.interruptUnsafe()
      setTimeout(() => process.exit(1), orphanGraceMs).unref()
    })
  }

  const boot = (init: Extract<Frame.ToWorker, { readonly t: "init" }>) => {
    void start(init).catch((error: unknown) => {
      process.stderr.write(`${cannotLoad(error)}\n`)
      leave(1)
    })
  }
  const assigned = (frame: spareFrames.Assign) => {
    become(frame)
    // At once: what is loaded now may hang, or end the process.
    channel.sendUnsafe({ t: "assigned" })
    channel.flushUnsafe()
    begin()
  }
  const early = withInit(channel, boot, spare && assigned)
  if (spare !== undefined) void spare.warm().then(() => channel.sendUnsafe({ t: "warm" }))
  channel.onEndUnsafe(() => process.exit(1))
}
