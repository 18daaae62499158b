import { assert, describe, it } from "@effect/vitest"
import * as ProcessMemory from "@nerve/node/supervision/ProcessMemory"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"

describe("ProcessMemory", () => {
  it.live("tells what a process has resident, in bytes", () =>
    Effect.gen(function* () {
      const bytes = yield* ProcessMemory.rss(process.pid)
      const own = process.memoryUsage.rss()
      assert.isTrue(Math.abs(bytes - own) < own / 4, `${bytes} is not about ${own}`)
    })
  )

  it.live("says that a process is gone", () =>
    Effect.gen(function* () {
      const { pid } = spawnSync("true")
      assert.deepInclude(yield* Effect.flip(ProcessMemory.rss(pid)), { _tag: "MemoryUnknown", pid })
    })
  )
})
