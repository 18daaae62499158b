/**
 * A worker that is a container (L1), run in the foreground by Docker's command line or one that takes the
 * same arguments, such as Podman's. Its exit is the container's: the code, or the signal that killed it.
 *
 * The process at hand is only the engine's client: signals to it stop the container politely (the client
 * passes SIGTERM on), but force, suspension and resumption go through the engine, by the container's name.
 */
import type { WorkerExit } from "@nerve/core/domain/WorkerExit"
import type { Ending } from "@nerve/core/supervision/LifecycleState"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { logOutput, type Output, spawnedLife } from "./internal/spawnedLife.ts"
import { type Handover, handoverEnvironment } from "./Handover.ts"
import type { Blueprint } from "./Lifecycle.ts"
import { refused, type Suspension, taken } from "./Suspension.ts"
import { Spawner } from "./Spawner.ts"
import * as WorkerSpec from "./WorkerSpec.ts"

export type { Output, OutputLine } from "./internal/spawnedLife.ts"

export interface Options {
  readonly image: string
  /** Command and arguments in the container; the image's own unless told. */
  readonly command?: ReadonlyArray<string>
  /** `docker` unless told. */
  readonly engine?: string
  /** Set in the container. Values go through the client's environment: they are not on its command line. */
  readonly env?: Readonly<Record<string, string>>
  /** Host folder to mount, to where: `{ "/srv/data": "/data:ro" }`. */
  readonly volumes?: Readonly<Record<string, string>>
  /** Such as `512m`; no limit unless told. */
  readonly memory?: string
  /** Such as `1.5`; no limit unless told. */
  readonly cpus?: string
  /** Such as `none`; the engine's default unless told. */
  readonly network?: string
  /** Further arguments of `run`, before the image. */
  readonly runArgs?: ReadonlyArray<string>
  /** Set for the client itself, such as DOCKER_HOST. */
  readonly engineEnv?: Readonly<Record<string, string>>
  /** Where its stdout and stderr go, line by line; into the log unless told. */
  readonly output?: Output
  readonly metadata?: { readonly [key: string]: string }
}

/** How long the engine may take to kill, pause, unpause or remove a container. */
const engineTimeout = Duration.seconds(4)

/** The container's name: one per incarnation, safe for every engine, found again by its resume id. */
export const containerName = (handover: Handover): string => {
  const id = handover.id.replaceAll(/[^A-Za-z0-9_.-]/g, "-").slice(0, 40)
  return `nerve-${id}-${handover.resumeId.replaceAll(/[^A-Za-z0-9]/g, "").slice(0, 12)}-${handover.incarnation}`
}

/** The arguments of the engine that run one incarnation. */
export const runArguments = (options: Options, handover: Handover): ReadonlyArray<string> => [
  "run",
  "--rm",
  "--init",
  "--name",
  containerName(handover),
  "--label",
  `nerve.resume-id=${handover.resumeId}`,
  ...Object.entries(environmentOf(options, handover)).flatMap(([name, value]) => [
    "--env",
    clientNeeds.has(name) ? `${name}=${value}` : name
  ]),
  ...Object.entries(options.volumes ?? {}).flatMap(([from, to]) => ["--volume", `${from}:${to}`]),
  ...(options.memory === undefined ? [] : ["--memory", options.memory]),
  ...(options.cpus === undefined ? [] : ["--cpus", options.cpus]),
  ...(options.network === undefined ? [] : ["--network", options.network]),
  ...(options.runArgs ?? []),
  options.image,
  ...(options.command ?? [])
]

/** What the container sees; `--env NAME` takes the values from the client's environment. */
const environmentOf = (options: Options, handover: Handover): Readonly<Record<string, string>> => ({
  ...options.env,
  ...handoverEnvironment(handover)
})

/** The client needs its own: these are passed by value. */
const clientNeeds: ReadonlySet<string> = new Set(["PATH", "HOME"])

const clientEnvironment = (options: Options, handover: Handover): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(environmentOf(options, handover)).filter(([name]) => !clientNeeds.has(name)))

/** A worker that runs a container. */
export const make = (options: Options): Blueprint<Spawner> => {
  const engine = options.engine ?? "docker"
  return {
    kind: "container",
    metadata: { engine, image: options.image, ...options.metadata },
    life: (port) =>
      Effect.gen(function* () {
        const spawner = yield* Spawner
        const { handover } = port
        const name = containerName(handover)
        const env = { ...clientEnvironment(options, handover), ...options.engineEnv }
        const ask = (...args: ReadonlyArray<string>) =>
          Effect.provideService(runEngine(engine, [...args, name], env, handover), Spawner, spawner)
        const orRefused = (failure: string | null): Suspension =>
          failure === null ? taken : refused(handover.id, failure)
        return yield* spawnedLife(port, {
          spec: WorkerSpec.command(engine, runArguments(options, handover), { env }),
          output: options.output ?? logOutput,
          ending: (exit, lastWords) => endingOf(engine, exit, lastWords),
          controls: (child) => ({
            // Without an engine that answers, the client at least goes.
            kill: Effect.andThen(ask("kill"), child.kill("SIGKILL")),
            suspend: Effect.map(ask("pause"), orRefused),
            resume: Effect.map(ask("unpause"), orRefused)
          }),
          // The client was killed: the container, which nobody watches now, must not live on.
          afterSignal: Effect.asVoid(ask("rm", "--force"))
        })
      })
  }
}

/**
 * The client exits as the container did, and tells by which signal that was killed as a shell would: by 128
 * and its number. By 125, 126 and 127 it tells that nothing was run, with the reason as its last words.
 */
export const endingOf = (engine: string, { code }: WorkerExit, lastWords: string): Partial<Ending> => {
  if (code === null) return {}
  const killedBy = signals.get(code - 128)
  if (killedBy !== undefined) return { code: null, signal: killedBy }
  const couldNotRun = code >= 125 && code <= 127 && lastWords !== ""
  return couldNotRun ? { code, error: `${engine} run: ${lastWords}` } : { code }
}

/** Those that end a process, by their numbers on Linux, which containers run on. */
const signals: ReadonlyMap<number, string> = new Map([
  [1, "SIGHUP"],
  [2, "SIGINT"],
  [3, "SIGQUIT"],
  [4, "SIGILL"],
  [6, "SIGABRT"],
  [7, "SIGBUS"],
  [8, "SIGFPE"],
  [9, "SIGKILL"],
  [11, "SIGSEGV"],
  [13, "SIGPIPE"],
  [15, "SIGTERM"]
])

/** Runs one command of the engine to its end. Null, or why it failed. */
const runEngine = (
  engine: string,
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>>,
  handover: Handover
): Effect.Effect<string | null, never, Spawner> =>
  Effect.gen(function* () {
    const spawner = yield* Spawner
    let lastLine = ""
    const child = yield* spawner.spawn(WorkerSpec.command(engine, args, { env }), {
      key: `${handover.id}:${args[0] ?? ""}`,
      incarnation: handover.incarnation,
      output: { line: (_stream, line) => (lastLine = line) }
    })
    const exit = yield* child.exit
    return exit.code === 0 ? null : `${engine} ${args.join(" ")}: ${lastLine || `exit code ${exit.code}`}`
  }).pipe(
    Effect.scoped,
    Effect.catch((error) => Effect.succeed(error.message)),
    Effect.timeoutOrElse({
      duration: engineTimeout,
      orElse: () => Effect.succeed(`${engine} ${args.join(" ")}: no answer within ${Duration.format(engineTimeout)}`)
    })
  )
