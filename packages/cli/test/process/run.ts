/**
 * Runs the real command line as a process of its own.
 */
import { Effect } from "effect"
import { execFile, spawn } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const bundle = fileURLToPath(new URL("../../dist/nerve.mjs", import.meta.url))
const source = fileURLToPath(new URL("../../src/main.ts", import.meta.url))

/** The bundle that users start; its source where it has not been built. */
export const nerve: string = existsSync(bundle) ? bundle : source

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const environment = (): NodeJS.ProcessEnv => {
  const { NODE_OPTIONS: _, ...rest } = process.env
  return { ...rest, TZ: "UTC" }
}

/** Runs `nerve ARGS` in a folder to its end. */
export const run = (cwd: string, ...args: ReadonlyArray<string>): Effect.Effect<Ran> =>
  Effect.callback((resume) => {
    const child = execFile(
      process.execPath,
      [nerve, ...args],
      { cwd, env: environment(), maxBuffer: 64 * 1024 * 1024 },
      (_, stdout, stderr) => resume(Effect.succeed({ code: child.exitCode ?? -1, stdout, stderr }))
    )
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** Starts `nerve ARGS`; killed at the end of the scope. */
export const start = (cwd: string, ...args: ReadonlyArray<string>) => startScript(cwd, nerve, ...args)

/** Starts a script with arguments; killed at the end of the scope. */
export const startScript = (cwd: string, ...args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(process.execPath, args, {
        cwd,
        env: environment(),
        stdio: ["ignore", "pipe", "pipe"]
      })
      const output = { stdout: "", stderr: "" }
      child.stdout.on("data", (data: Buffer) => (output.stdout += String(data)))
      child.stderr.on("data", (data: Buffer) => (output.stderr += String(data)))
      const ended = new Promise<Ran>((resolve) => {
        child.once("close", (code) => resolve({ code: code ?? -1, ...output }))
      })
      return {
        child,
        output,
        ended: Effect.promise(() => ended),
        /** Until stdout holds the text. */
        printed: (text: string) =>
          Effect.callback<void>((resume) => {
            const look = () => {
              if (!output.stdout.includes(text)) return
              child.stdout.off("data", look)
              resume(Effect.void)
            }
            child.stdout.on("data", look)
            look()
          })
      }
    }),
    ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
  )

/** A folder with these files, removed with the scope. */
export const workspace = (files: Readonly<Record<string, string>> = { "nerve.yaml": "{}\n" }) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const root = realpathSync(mkdtempSync(join(tmpdir(), "nerve-cli-")))
      for (const [name, text] of Object.entries(files)) {
        mkdirSync(dirname(join(root, name)), { recursive: true })
        writeFileSync(join(root, name), text)
      }
      return root
    }),
    (root) => Effect.sync(() => rmSync(root, { recursive: true, force: true }))
  )
