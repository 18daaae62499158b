/** The Python of this machine, and sessions with a worker that speak the protocol by hand. */
import { Effect, Queue } from "effect"
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

const probe = "import sys; print(sys.version_info >= (3, 8) and sys.executable or '')"

/** The interpreter itself (`python3` may be a script that looks for one), or undefined: none, or older than 3.8. */
export const python: string | undefined =
  spawnSync(process.env["PYTHON"] ?? "python3", ["-c", probe], { encoding: "utf8" }).stdout?.trim() || undefined

if (python === undefined) console.log("examples/python-worker: skipped, there is no python3 >= 3.8 on this machine")

export const file = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url))

export type Frame = Readonly<Record<string, unknown>>

/** A worker that the test is the daemon of. */
export interface Session {
  readonly child: ChildProcessWithoutNullStreams
  readonly send: (...frames: ReadonlyArray<Frame>) => void
  /** The next frame from the worker. */
  readonly next: Effect.Effect<Frame>
  /** How the process ended. */
  readonly exit: Effect.Effect<{ readonly code: number | null; readonly signal: string | null }>
}

export const session = (script: string) =>
  Effect.acquireRelease(
    Effect.gen(function* () {
      const child = spawn(python ?? "python3", [file(script)], { stdio: "pipe" })
      const frames = yield* Queue.unbounded<Frame>()
      createInterface({ input: child.stdout }).on("line", (line) => Queue.offerUnsafe(frames, JSON.parse(line)))
      child.stdin.on("error", () => {})
      const exited = new Promise<{ readonly code: number | null; readonly signal: string | null }>((resolve) => {
        child.once("close", (code, signal) => resolve({ code, signal }))
      })
      const opened: Session = {
        child,
        send: (...sent) => child.stdin.write(sent.map((frame) => `${JSON.stringify(frame)}\n`).join("")),
        next: Queue.take(frames),
        exit: Effect.promise(() => exited)
      }
      return opened
    }),
    ({ child, exit }) =>
      Effect.andThen(
        Effect.sync(() => child.kill("SIGKILL")),
        exit
      )
  )
