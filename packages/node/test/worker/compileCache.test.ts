/** What a worker has compiled is there for the next one, also when it is killed. */
import { assert, describe, it } from "@effect/vitest"
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Effect, Schedule } from "effect"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { EchoRpcs } from "../supervision/EchoRpcs.ts"

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "nerve-compiled-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

describe("the compile cache", () => {
  it.live(
    "is written while the worker runs",
    () =>
      Effect.gen(function* () {
        const cache = yield* folder
        const runtime = yield* WorkerRuntime.make({
          rpcs: EchoRpcs,
          worker: (_key: string) =>
            WorkerSpec.module(new URL("../supervision/echo.worker.ts", import.meta.url), {
              env: { NODE_COMPILE_CACHE: cache }
            })
        })
        yield* runtime.start("echo")
        // Its files lie in a folder for the version of Node.
        const files = yield* Effect.sync(() => readdirSync(cache, { recursive: true, withFileTypes: true })).pipe(
          Effect.map((found) => found.filter((one) => one.isFile() && one.name.length > 4).length),
          Effect.repeat({ until: (count) => count > 3, schedule: Schedule.spaced("20 millis") }),
          Effect.timeoutOrElse({
            duration: "60 seconds",
            orElse: () => Effect.die("the worker has written nothing that it compiled")
          })
        )
        assert.isAbove(files, 3)
        assert.strictEqual((yield* runtime.info("echo")).state, "ready")
      }).pipe(Effect.scoped, Effect.provide(NodeSpawner.layer())),
    120_000
  )
})
