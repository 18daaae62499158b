/**
 * How much memory a process has resident: from `/proc` on Linux, by `ps` elsewhere. It is what a
 * `WorkerPool` with a `memoryLimit` asks for.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { execFile } from "node:child_process"
import { readFile } from "node:fs/promises"

/** There is no such process any more, or its memory cannot be read. */
export class MemoryUnknown extends Schema.TaggedError<MemoryUnknown>()("MemoryUnknown", {
  pid: Schema.Int,
  cause: Schema.Defect()
}) {}

/** `VmRSS:     43212 kB`. In this file the unit is always kB; pages would have to be sized first. */
const fromProc = (pid: number) =>
  Effect.map(
    Effect.tryPromise({
      try: () => readFile(`/proc/${pid}/status`, "utf8"),
      catch: (cause) => new MemoryUnknown({ pid, cause })
    }),
    (status) => /^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1]
  )

const fromPs = (pid: number) =>
  Effect.callback<string, MemoryUnknown>((resume) => {
    execFile("ps", ["-o", "rss=", "-p", String(pid)], (cause, stdout) => {
      resume(cause === null ? Effect.succeed(stdout.trim()) : Effect.fail(new MemoryUnknown({ pid, cause })))
    })
  })

/** Resident memory of a process in bytes, without its children's. */
export const rss = (pid: number): Effect.Effect<number, MemoryUnknown> =>
  Effect.flatMap(process.platform === "linux" ? fromProc(pid) : fromPs(pid), (kilobytes) =>
    // A process that is gone but not reaped has none.
    kilobytes === undefined || !/^\d+$/.test(kilobytes)
      ? Effect.fail(new MemoryUnknown({ pid, cause: "it has no resident memory" }))
      : Effect.succeed(Number(kilobytes) * 1024)
  )
