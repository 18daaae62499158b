/**
 * Runs a command for an adapter: starts it in a scope, feeds stdin, keeps so much of its output, and
 * turns how it ended into a reply or AdapterFailed. The scope's end stops the whole process group.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { PlatformError } from "effect/PlatformError"
import * as ChildProcess from "effect/process/ChildProcess"
import { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import * as Stream from "effect/Stream"
import type { CommandOptions } from "../adapter/CommandLine.ts"
import { type AdapterFailed, adapterFailed, type Reply, type Request, transcript } from "../adapter/Contract.ts"
import { Info, type Services } from "../Conversation.ts"

/**
 * Small enough that a thread of many rounds fits in one frame of the worker's pipe (4 MB): each round
 * carries the conversation so far.
 */
const MAX_OUTPUT_BYTES = 100_000
const STDERR_TAIL_CHARACTERS = 2_000
/** A process that outlives the command may hold its output open: don't wait for it longer than this. */
const OUTPUT_GRACE = "1 second"

/** The first `limit` bytes of an output, and how many there were. */
class Head {
  readonly chunks: Array<Uint8Array> = []
  readonly limit: number
  kept = 0
  total = 0
  constructor(limit: number) {
    this.limit = limit
  }
  add(chunk: Uint8Array): void {
    this.total += chunk.length
    const part = chunk.subarray(0, this.limit - this.kept)
    if (part.length === 0) return
    this.chunks.push(part)
    this.kept += part.length
  }
  text(): string {
    const decoder = new TextDecoder()
    const text = this.chunks.map((chunk) => decoder.decode(chunk, { stream: true })).join("")
    const left = this.total - this.kept
    return left === 0 ? text + decoder.decode() : `${text}\n[${left} bytes more are left out]`
  }
}

/** The last characters of an output. */
class Tail {
  readonly decoder = new TextDecoder()
  text = ""
  add(chunk: Uint8Array): void {
    this.text = (this.text + this.decoder.decode(chunk, { stream: true })).slice(-STDERR_TAIL_CHARACTERS)
  }
}

const why = (error: PlatformError): string => error.message

export const runCommand = (
  options: CommandOptions,
  request: Request
): Effect.Effect<Reply, AdapterFailed, Services> => {
  const name = options.name ?? options.command
  const timeout = Duration.fromInputUnsafe(options.timeout ?? "10 minutes")
  const stdout = new Head(options.maxOutput ?? MAX_OUTPUT_BYTES)
  const stderr = new Tail()
  const saying = () => (stderr.text.trim() === "" ? "" : `; stderr: ${stderr.text.trim()}`)

  return Effect.gen(function* () {
    const info = yield* Info
    const spawner = yield* ChildProcessSpawner
    const args = yield* Effect.try({
      try: () => (typeof options.args === "function" ? options.args(request) : (options.args ?? [])),
      catch: (cause) => adapterFailed(name, `its arguments could not be made: ${String(cause)}`)
    })
    const input = options.stdin ?? "prompt"
    const handle = yield* spawner
      .spawn(
        ChildProcess.make(options.command, args, {
          cwd: options.cwd ?? info.workspace,
          env: { ...options.env },
          // The worker's environment bears the mark by which leftovers are found and swept.
          extendEnv: true,
          stdin: input === "none" ? "ignore" : "pipe",
          forceKillAfter: options.forceKillAfter ?? "2 seconds"
        })
      )
      .pipe(Effect.mapError((error) => adapterFailed(name, `could not be started: ${why(error)}`)))

    if (input !== "none") {
      const text = input === "prompt" ? request.prompt : transcript(request)
      // A command may exit without reading its input: a broken pipe is no failure.
      yield* Stream.make(new TextEncoder().encode(text)).pipe(
        Stream.run(handle.stdin),
        Effect.ignore,
        Effect.forkScoped
      )
    }
    const keep = (from: typeof handle.stdout, to: Head | Tail) =>
      Stream.runForEach(from, (chunk) => Effect.sync(() => to.add(chunk)))
    const outputs = yield* Effect.all([keep(handle.stdout, stdout), keep(handle.stderr, stderr)], {
      concurrency: 2,
      discard: true
    }).pipe(Effect.exit, Effect.forkScoped)
    const exit = yield* Effect.exit(handle.exitCode)
    yield* Fiber.await(outputs).pipe(Effect.timeoutOption(OUTPUT_GRACE))

    if (Exit.isFailure(exit)) {
      return yield* adapterFailed(name, `was ended by a signal${saying()}`, true)
    }
    if (exit.value !== 0) {
      return yield* adapterFailed(name, `exited with code ${exit.value}${saying()}`, true)
    }
    const text = stdout.text()
    const { parse } = options
    if (parse === undefined) return { content: text.trim() }
    const parsed = yield* Effect.try({
      try: () => parse(text),
      catch: (cause) => adapterFailed(name, `its output could not be parsed: ${String(cause)}`)
    })
    return typeof parsed === "string" ? { content: parsed } : parsed
  }).pipe(
    Effect.scoped,
    Effect.timeoutOrElse({
      duration: timeout,
      orElse: () =>
        Effect.fail(adapterFailed(name, `gave no answer within ${Duration.format(timeout)}${saying()}`, true))
    })
  )
}
