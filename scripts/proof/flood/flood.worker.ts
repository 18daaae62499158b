/** Sends as fast as it can: it writes to the channel by hand, so that nothing of nerve slows it down. */
import * as Worker from "@nerve/runtime/ipc/Worker"
import { Effect, Stream } from "effect"
import { writeSync } from "node:fs"
import { FloodRpcs } from "./FloodRpcs.ts"

const nap = new Int32Array(new SharedArrayBuffer(4))

/** Blocks until the descriptor takes all of it. */
const writeAll = (fd: number, bytes: Buffer): void => {
  let rest = bytes
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest))
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) return process.exit(1)
      Atomics.wait(nap, 0, 0, 1)
    }
  }
}

const flood = (fd: number, line: string) =>
  Effect.sync(() => {
    const many = Buffer.from(line.repeat(Math.max(1, Math.floor(65_536 / line.length))))
    for (;;) writeAll(fd, many)
  })

export default Worker.serve(FloodRpcs, {
  Echo: ({ text }) => Effect.succeed(text),
  Items: ({ size }) => Stream.forever(Stream.succeed("i".repeat(size))),
  Logs: ({ size }) => flood(3, `{"t":"log","level":"INFO","message":"${"l".repeat(size)}","fields":{}}\n`),
  Print: ({ size }) => flood(1, `${"p".repeat(size)}\n`)
})
