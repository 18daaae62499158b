/** A worker of a pool: jobs that take time, and every way to go wrong. */
import * as Worker from "@nerve/runtime/ipc/Worker"
import { Effect, Stream } from "effect"
import { appendFileSync, closeSync, existsSync, writeFileSync } from "node:fs"
import { PoolRpcs, Refused } from "./PoolRpcs.ts"

const { BOOT_ONCE, JOURNAL, VERSION } = process.env

// Fails its first boot: a database that is not there yet, for instance.
if (BOOT_ONCE !== undefined && !existsSync(BOOT_ONCE)) {
  writeFileSync(BOOT_ONCE, "")
  throw new Error("no database")
}

const kept: Array<Uint8Array> = []

export default Worker.serve(PoolRpcs, {
  Job: ({ id, ms }) =>
    Effect.sync(() => {
      if (JOURNAL !== undefined) appendFileSync(JOURNAL, `${id}\n`)
    }).pipe(Effect.andThen(Effect.sleep(ms)), Effect.as(id)),
  Who: () => Effect.succeed({ pid: process.pid, version: VERSION ?? "" }),
  Sleep: ({ ms }) => Effect.sleep(ms),
  Spin: () =>
    Effect.sync(() => {
      console.log("spinning")
      for (;;);
    }),
  Grow: ({ bytes }) =>
    Effect.sync(() => {
      kept.push(new Uint8Array(bytes).fill(1))
      return process.memoryUsage.rss()
    }),
  Refuse: ({ why }) => Effect.fail(new Refused({ why, code: 42 })),
  Throw: ({ message }) =>
    Effect.sync(() => {
      throw new RangeError(message)
    }),
  Count: ({ to }) => Stream.range(1, to),
  PrintAndExit: ({ code, lines }) =>
    Effect.sync(() => {
      for (let i = 0; i < lines; i++) console.log(`line ${i}`)
      process.exit(code)
    }),
  Exit: ({ code }) => Effect.sync(() => process.exit(code)),
  CloseChannel: () =>
    Effect.andThen(
      Effect.sync(() => closeSync(3)),
      Effect.never
    )
})
