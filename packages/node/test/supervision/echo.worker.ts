import * as Worker from "@nerve/runtime/ipc/Worker"
import { Effect, Stream } from "effect"
import { execFileSync, spawn } from "node:child_process"
import { readFileSync, writeFileSync, writeSync } from "node:fs"
import { EchoRpcs, Refused } from "./EchoRpcs.ts"

/** The descriptor is non-blocking: what it does not take now, it takes when the parent has read on. */
const writeAll = (bytes: Buffer): void => {
  let rest = bytes
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(3, rest))
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) throw error
    }
  }
}

/** Memory that was asked to be kept. */
const held: Array<unknown> = []

export default Worker.serve(
  EchoRpcs,
  {
    Echo: ({ text }) => Effect.succeed(text),
    Environment: () =>
      Effect.sync(() => {
        const variables: Record<string, string> = {}
        for (const [name, value] of Object.entries(process.env)) if (value !== undefined) variables[name] = value
        return variables
      }),
    Refuse: ({ why }) => Effect.fail(new Refused({ why })),
    Count: ({ to }) => Stream.range(1, to),
    Never: () => Effect.never,
    Talk: ({ text }) =>
      Effect.sync(() => {
        console.log(`out ${text}`)
        console.error(`err ${text}`)
      }).pipe(Effect.andThen(Effect.logInfo(`log ${text}`))),
    Spin: () =>
      Effect.sync(() => {
        for (;;);
      }),
    Block: ({ ms }) => Effect.sync(() => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)),
    Hold: ({ mb, where }) =>
      Effect.sync(() => {
        const kept = Array.from({ length: mb }, (_, n) =>
          where === "buffer" ? Buffer.alloc(1024 * 1024, 1) : Array.from({ length: 131_072 }, (_, i) => i + n / 2)
        )
        held.push(kept)
      }),
    Try: ({ path, what }) =>
      Effect.sync(() => {
        try {
          if (what === "read") readFileSync(path)
          else if (what === "write") writeFileSync(path, "x")
          else spawn(path)
          return "allowed"
        } catch (error) {
          return error instanceof Error && "code" in error ? String(error.code) : String(error)
        }
      }),
    Place: () => Effect.sync(() => ({ cwd: process.cwd(), argv: process.argv.slice(2) })),
    Shell: ({ command }) => Effect.sync(() => String(execFileSync("sh", ["-c", command]))),
    Exit: ({ code }) => Effect.sync(() => process.exit(code)),
    WriteRaw: ({ text, times }) =>
      Effect.sync(() => {
        for (let i = 0; i < times; i++) writeAll(Buffer.from(text))
      }),
    Answer: ({ id, raw }) =>
      Effect.andThen(
        Effect.sync(() => writeAll(Buffer.from(`{"t":"done","id":${id},"value":${raw}}\n`))),
        Effect.never
      ),
    Huge: ({ length }) => Effect.sync(() => "x".repeat(length)),
    Breed: ({ setsid }) =>
      Effect.sync(() => {
        const command = "trap '' TERM HUP; while :; do sleep 1; done"
        const child = setsid
          ? spawn("setsid", ["sh", "-c", command], { stdio: "inherit" })
          : // Without the daemon's marker, so that only its group says whose it is.
            spawn("sh", ["-c", command], { stdio: "inherit", env: { PATH: process.env["PATH"] } })
        return child.pid ?? 0
      })
  },
  { info: { pid: process.pid } }
)
