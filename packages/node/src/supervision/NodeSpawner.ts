/**
 * The `Spawner` on Node: one child process per incarnation, in a process group of its own, with a
 * socketpair on fd 3 (or its stdin and stdout) as its channel and its output captured line by line.
 *
 * Children leave by themselves when their pipe ends; the warden sees to those that cannot. Where the warden
 * was killed as well, the next start does (`leftovers`).
 */
import type { WorkerExit } from "@nerve/core/domain/WorkerExit"
import type { Channel } from "@nerve/runtime/ipc/Channel"
import { type Child, type Signal, SpawnFailed, Spawner } from "@nerve/runtime/supervision/Spawner"
import type { Transport, WorkerSpec } from "@nerve/runtime/supervision/WorkerSpec"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { existsSync } from "node:fs"
import { Socket } from "node:net"
import { readLines } from "../ipc/LineReader.ts"
import * as PipeChannel from "../ipc/PipeChannel.ts"
import * as NodeCommand from "../worker/NodeCommand.ts"
import * as Leftovers from "./Leftovers.ts"
import * as ProcessMemory from "./ProcessMemory.ts"
import * as Warden from "./Warden.ts"

/** Variables that every worker may see. All others are inherited only when named. */
export const inheritedVariables: ReadonlyArray<string> = [
  "PATH",
  "HOME",
  "USER",
  "LOGNAME",
  "SHELL",
  "LANG",
  "LC_ALL",
  "LC_CTYPE",
  "TZ",
  "TMPDIR",
  "TERM",
  "COLORTERM",
  "NO_COLOR"
]

/** After the exit, how long output that is still in the pipe may take to be read. */
const outputGraceMs = 500

export interface Options {
  /** Names of further variables that workers inherit. */
  readonly env?: ReadonlyArray<string>
  /**
   * A file that says which processes live, for the next start: what this process leaves behind, should it be killed
   * together with its warden, is then ended before anything is started. One file for one process at a time; its
   * folder must exist. Without one, nothing is swept.
   */
  readonly leftovers?: string
}

/** Spawns children of this process, guarded by a warden of its own. */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<Spawner["Service"], never, Scope.Scope> {
  const marker = randomUUID()
  const roll = options.leftovers === undefined ? undefined : yield* Leftovers.keep(options.leftovers, marker)
  const warden = yield* Warden.make(marker, roll)
  const inherited = pick([...inheritedVariables, ...(options.env ?? [])])

  const acquire = (spec: WorkerSpec, context: Parameters<Spawner["Service"]["spawn"]>[1]) =>
    Effect.callback<Running, SpawnFailed>((resume) => {
      if (process.platform === "win32") return resume(Effect.fail(onWindows))
      const { args, executable } = NodeCommand.resolve(spec)
      const transport = spec._tag === "Command" ? spec.transport : "fd3"
      const child = spawnUnsafe(executable, args, transport, {
        cwd: spec.options.cwd,
        env: {
          ...inherited,
          ...NodeCommand.environment(),
          ...spec.options.env,
          [Warden.markerVariable]: marker,
          NERVE_WORKER_KEY: context.key,
          NERVE_INCARNATION: String(context.incarnation)
        }
      })
      if (child instanceof Error) return resume(Effect.fail(failed(executable, spec, child)))
      // A spawn that failed has no pid and says why in a moment. Any later error must find a listener, too.
      child.on("error", (error) => resume(Effect.fail(failed(executable, spec, error))))
      const { pid } = child
      if (pid === undefined) return
      warden.guardUnsafe(pid)
      const running = watch(child, pid, transport, context.output.line, () => warden.releaseUnsafe(pid))
      const sent = running.channel.sendUnsafe({
        t: "init",
        key: context.key,
        incarnation: context.incarnation,
        init: spec.options.init ?? null
      })
      if (sent === "sent") return resume(Effect.succeed(running))
      killGroup(pid, "SIGKILL")
      const why = sent === "too-large" ? "is larger than a frame may be" : "cannot be sent"
      const error = new SpawnFailed({ message: `the init of worker ${context.key} ${why}`, cause: sent })
      resume(Effect.andThen(running.exit, Effect.fail(error)))
    })

  return {
    spawn: (spec, context) =>
      Effect.acquireRelease(acquire(spec, context), (child) => Effect.andThen(child.kill("SIGKILL"), child.exit))
  }
})

/** A Spawner for a whole application. */
export const layer = (options?: Options): Layer.Layer<Spawner> => Layer.effect(Spawner, make(options))

type Running = Child

const pick = (names: ReadonlyArray<string>): Record<string, string> => {
  const picked: Record<string, string> = {}
  for (const name of names) {
    const value = process.env[name]
    if (value !== undefined) picked[name] = value
  }
  return picked
}

/** Node blames the executable also when the folder is missing. */
const failed = (executable: string, spec: WorkerSpec, error: Error): SpawnFailed => {
  const { cwd } = spec.options
  return cwd !== undefined && !existsSync(cwd)
    ? new SpawnFailed({ message: `${executable}: there is no folder ${cwd} to start it in`, cause: error })
    : new SpawnFailed({ message: `${executable}: ${error.message}`, cause: error })
}

const onWindows = new SpawnFailed({
  message: "nerve starts workers on Linux and macOS only: Windows has no process groups and no socket pair for a child",
  cause: null
})

/** `spawn` throws for some faults (a NUL in an argument, a missing folder) and emits others. */
const spawnUnsafe = (
  executable: string,
  args: ReadonlyArray<string>,
  transport: Transport,
  options: {
    readonly cwd: string | undefined
    readonly env: Record<string, string>
  }
): ChildProcess | Error => {
  try {
    return spawn(executable, args, {
      cwd: options.cwd,
      env: options.env,
      detached: true,
      stdio: transport === "stdio" ? ["pipe", "pipe", "pipe"] : ["ignore", "pipe", "pipe", "pipe"]
    })
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

const killGroup = (pid: number, signal: Signal): boolean => {
  try {
    return process.kill(-pid, signal)
  } catch {
    // ESRCH: nothing is left of the group.
    return false
  }
}

/** Listens to a started child until it is reaped and its output is read to the end. */
const watch = (
  child: ChildProcess,
  pid: number,
  transport: Transport,
  line: (stream: "stdout" | "stderr", text: string) => void,
  released: () => void
): Running => {
  const exit = Deferred.makeUnsafe<WorkerExit>()
  let exited = false
  const channel = transport === "stdio" ? stdioChannel(child) : PipeChannel.makeUnsafe(channelSocket(child))
  if (child.stdout !== null && transport !== "stdio") readLines(child.stdout, (text) => line("stdout", text))
  if (child.stderr !== null) readLines(child.stderr, (text) => line("stderr", text))

  child.once("exit", (code, signal) => {
    exited = true
    // What it left behind in its group would hold its pipes open, and must not outlive it anyway.
    killGroup(pid, "SIGKILL")
    let ended = false
    const done = () => {
      if (ended) return
      ended = true
      clearTimeout(timer)
      // A process that left the group may hold the other ends for as long as it likes.
      for (const stream of child.stdio) stream?.destroy()
      released()
      Deferred.doneUnsafe(exit, Effect.succeed({ code, signal }))
    }
    const timer = setTimeout(done, outputGraceMs)
    child.once("close", done)
  })
  return {
    pid,
    channel,
    exit: Deferred.await(exit),
    memory: ProcessMemory.rss(pid),
    kill: (signal) => Effect.sync(() => !exited && killGroup(pid, signal))
  }
}

const stdioChannel = ({ stdin, stdout }: ChildProcess): Channel => {
  if (stdin === null || stdout === null) throw new Error("spawn gave no stdin and stdout")
  return PipeChannel.ofStreamsUnsafe(stdout, stdin, { where: " on stdout (which carries the protocol)" })
}

const channelSocket = (child: ChildProcess): Socket => {
  const socket = child.stdio[3]
  if (!(socket instanceof Socket)) throw new Error("spawn gave no socket for fd 3")
  return socket
}
