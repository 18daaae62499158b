/**
 * The `Spawner` on Node: one child process per incarnation, in a process group of its own, with a
 * socketpair on fd 3 (or its stdin and stdout) as its channel and its output captured line by line.
 *
 * Children leave by themselves when their pipe ends; the wardens see to those that cannot. Where the wardens
 * were killed as well, the next start does (`leftovers`).
 */
import type { WorkerExit } from "@nerve/core/domain/WorkerExit"
import type { Channel, Receive } from "@nerve/runtime/ipc/Channel"
import {
  type Child,
  type OutputSink,
  type Signal,
  type Spare,
  type SpareProfile,
  type SpawnContext,
  SpawnFailed,
  Spawner
} from "@nerve/runtime/supervision/Spawner"
import type { Transport, WorkerSpec } from "@nerve/runtime/supervision/WorkerSpec"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { existsSync } from "node:fs"
import { Socket } from "node:net"
import { readLines } from "../ipc/LineReader.ts"
import * as PipeChannel from "../ipc/PipeChannel.ts"
import type { Reading } from "../ipc/Reading.ts"
import * as NodeCommand from "../worker/NodeCommand.ts"
import * as spareFrames from "../worker/spareFrames.ts"
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
   * together with its wardens, is then ended before anything is started. One file for one process at a time; its
   * folder must exist. Without one, nothing is swept.
   */
  readonly leftovers?: string
}

/** How long a spare may take to say that it is assigned. One that does not is killed, and its worker boots as ever. */
const assignedWithinMs = 2000

/** Spawns children of this process, guarded by two wardens of its own. */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<Spawner["Service"], never, Scope.Scope> {
  const marker = randomUUID()
  const roll = options.leftovers === undefined ? undefined : yield* Leftovers.keep(options.leftovers, marker)
  const warden = yield* Warden.make(marker, roll)
  const inherited = pick([...inheritedVariables, ...(options.env ?? [])])

  /** Starts a process, and guards it until it is reaped. */
  const launch = (command: Command) =>
    Effect.callback<Running, SpawnFailed>((resume) => {
      if (process.platform === "win32") return resume(Effect.fail(onWindows))
      const { cwd, executable, transport } = command
      const env = { ...inherited, ...NodeCommand.environment(), ...command.env, [Warden.markerVariable]: marker }
      const child = spawnUnsafe(executable, command.args, transport, { cwd, env })
      if (child instanceof Error) return resume(Effect.fail(failed(executable, cwd, child)))
      // A spawn that failed has no pid and says why in a moment. Any later error must find a listener, too.
      child.on("error", (error) => resume(Effect.fail(failed(executable, cwd, error))))
      const { pid } = child
      if (pid === undefined) return
      warden.guardUnsafe(pid)
      resume(Effect.succeed(watch(child, pid, transport, command.line, () => warden.releaseUnsafe(pid))))
    })

  /** Tells it who it is: the first frame of a worker. */
  const introduce = (running: Running, spec: WorkerSpec, { incarnation, key }: SpawnContext) =>
    Effect.suspend(() => {
      const sent = running.channel.sendUnsafe({ t: "init", key, incarnation, init: spec.options.init ?? null })
      if (sent === "sent") return Effect.succeed(running)
      const why = sent === "too-large" ? "is larger than a frame may be" : "cannot be sent"
      const error = new SpawnFailed({ message: `the init of worker ${key} ${why}`, cause: sent })
      return Effect.andThen(end(running), Effect.fail(error))
    })

  const acquire = (spec: WorkerSpec, context: SpawnContext) =>
    Effect.suspend(() => {
      const obstacle = NodeCommand.obstacle(spec)
      return obstacle === undefined
        ? launch({
            ...NodeCommand.resolve(spec),
            transport: spec._tag === "Command" ? spec.transport : "fd3",
            cwd: spec.options.cwd,
            env: { ...spec.options.env, ...identity(context) },
            line: context.output.line
          })
        : Effect.fail(new SpawnFailed({ message: obstacle, cause: null }))
    }).pipe(Effect.flatMap((running) => introduce(running, spec, context)))

  const acquireSpare = (profile: SpareProfile, output: OutputSink) =>
    Effect.suspend(() => {
      let sink = output
      const held = NodeCommand.version(profile.module)
      const warm = Latch.makeUnsafe(false)
      return Effect.map(
        launch({
          ...NodeCommand.resolveSpare(profile),
          transport: "fd3",
          cwd: undefined,
          env: {},
          line: (stream, text) => sink.line(stream, text)
        }),
        (running): Spare => {
          const answer = Deferred.makeUnsafe<boolean>()
          const settle = (taken: boolean) => Deferred.doneUnsafe(answer, Effect.succeed(taken))
          /** What came as the worker's before anybody took it as such. */
          const early: Array<Parameters<Receive>> = []
          running.channel.onFrameUnsafe((frame, characters) => {
            if (spareFrames.isWarm(frame)) warm.openUnsafe()
            else if (spareFrames.isAssigned(frame)) settle(true)
            else early.push([frame, characters])
          })
          /** Until it has said so, nothing of the worker has run: one that dies before that was a dead spare. */
          const acknowledged = Effect.suspend(() => {
            const timer = setTimeout(settle, assignedWithinMs, false)
            Effect.runFork(Effect.map(running.exit, () => settle(false)))
            return Effect.flatMap(Deferred.await(answer), (taken) => {
              clearTimeout(timer)
              return taken ? Effect.succeed({ ...running, channel: replaying(running.channel, early) }) : lost
            })
          })
          return {
            pid: running.pid,
            warm: warm.await,
            exit: running.exit,
            assign: (spec, context) =>
              Effect.suspend(() => {
                if (spec._tag !== "Module") return Effect.die(new Error("a spare runs a module"))
                if (NodeCommand.version(profile.module) !== held) return Effect.fail(changed)
                sink = context.output
                const assignment: spareFrames.Assign = {
                  t: "assign",
                  module: NodeCommand.urlOf(spec.module),
                  args: spec.args,
                  env: { ...spec.options.env, ...identity(context) },
                  cwd: spec.options.cwd ?? null
                }
                const sent = running.channel.sendUnsafe(assignment)
                return sent === "sent"
                  ? Effect.andThen(introduce(running, spec, context), acknowledged)
                  : Effect.fail(new SpawnFailed({ message: `a spare could not be assigned: ${sent}`, cause: sent }))
              })
          }
        }
      )
    })

  return {
    spawn: (spec, context) => Effect.acquireRelease(acquire(spec, context), end),
    spares: {
      spawn: (profile, output) =>
        Effect.acquireRelease(acquireSpare(profile, output), (spare) =>
          Effect.andThen(
            Effect.sync(() => killGroup(spare.pid, "SIGKILL")),
            spare.exit
          )
        ),
      fits: NodeCommand.fitsSpare
    }
  }
})

/** A Spawner for a whole application. */
export const layer = (options?: Options): Layer.Layer<Spawner> => Layer.effect(Spawner, make(options))

type Running = Child

/** The channel, whose first frames have come already. */
const replaying = (channel: Channel, early: ReadonlyArray<Parameters<Receive>>): Channel => ({
  ...channel,
  onFrameUnsafe: (receive) => {
    channel.onFrameUnsafe(receive)
    for (const frame of early) receive(...frame)
  }
})

interface Command {
  readonly executable: string
  readonly args: ReadonlyArray<string>
  readonly transport: Transport
  readonly cwd: string | undefined
  /** Over what is inherited. */
  readonly env: Readonly<Record<string, string>>
  readonly line: (stream: "stdout" | "stderr", text: string) => void
}

const identity = ({ incarnation, key }: SpawnContext): Readonly<Record<string, string>> => ({
  NERVE_WORKER_KEY: key,
  NERVE_INCARNATION: String(incarnation)
})

/** Kills what is left of it and waits until it is reaped. */
const end = (running: Running) => Effect.andThen(running.kill("SIGKILL"), running.exit)

const pick = (names: ReadonlyArray<string>): Record<string, string> => {
  const picked: Record<string, string> = {}
  for (const name of names) {
    const value = process.env[name]
    if (value !== undefined) picked[name] = value
  }
  return picked
}

/** Node blames the executable also when the folder is missing. */
const failed = (executable: string, cwd: string | undefined, error: Error): SpawnFailed => {
  return cwd !== undefined && !existsSync(cwd)
    ? new SpawnFailed({ message: `${executable}: there is no folder ${cwd} to start it in`, cause: error })
    : new SpawnFailed({ message: `${executable}: ${error.message}`, cause: error })
}

const changed = new SpawnFailed({ message: "the bundle has changed since the spare was started", cause: null })

const lost = Effect.fail(new SpawnFailed({ message: "the spare was dead, or did not answer", cause: null }))

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
  const readings: Array<Reading> = [channel]
  if (child.stdout !== null && transport !== "stdio")
    readings.push(readLines(child.stdout, (text) => line("stdout", text)))
  if (child.stderr !== null) readings.push(readLines(child.stderr, (text) => line("stderr", text)))
  const resumeUnsafe = () => {
    for (const one of readings) one.resumeUnsafe()
  }

  child.once("exit", (code, signal) => {
    exited = true
    // Its last words are read, however much of it has been read already.
    resumeUnsafe()
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
    reading: {
      pauseUnsafe: () => {
        if (!exited) for (const one of readings) one.pauseUnsafe()
      },
      resumeUnsafe
    },
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
