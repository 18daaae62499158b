/** Limits of real processes: memory, heap, Node's permissions; and the handover in their real environment (L5). */
import { assert, describe, it } from "@effect/vitest"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import type { WorkerEvent } from "@nerve/runtime/supervision/WorkerEvent"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Effect, Queue } from "effect"
import { fileURLToPath } from "node:url"
import { EchoRpcs } from "./EchoRpcs.ts"

const module = new URL("./echo.worker.ts", import.meta.url)

type EchoRpc = WorkerRuntime.RpcsOf<typeof EchoRpcs>

const setup = (
  options: Partial<WorkerRuntime.Options<string, EchoRpc>>,
  body: (test: {
    readonly runtime: WorkerRuntime.WorkerRuntime<string, EchoRpc>
    readonly event: <Tag extends WorkerEvent<string>["_tag"]>(
      tag: Tag
    ) => Effect.Effect<Extract<WorkerEvent<string>, { readonly _tag: Tag }>, unknown>
  }) => Effect.Effect<void, unknown>
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const events = yield* Queue.unbounded<WorkerEvent<string>>()
      const runtime = yield* WorkerRuntime.make<string, EchoRpc>({
        rpcs: EchoRpcs,
        worker: () => WorkerSpec.module(module),
        respawn: RespawnPolicy.immediately,
        onEvent: (event) => Queue.offer(events, event),
        ...options
      })
      yield* body({
        runtime,
        event: <Tag extends WorkerEvent<string>["_tag"]>(tag: Tag) =>
          Queue.take(events).pipe(
            Effect.repeat({
              until: (event): event is Extract<WorkerEvent<string>, { readonly _tag: Tag }> => event._tag === tag
            }),
            Effect.timeout("60 seconds")
          )
      })
    })
  ).pipe(Effect.provide(NodeSpawner.layer()))

/** This folder's own dependencies: what the worker's module imports by relative path lies beside it. */
const here = fileURLToPath(new URL(".", import.meta.url))

describe("limits of real processes", () => {
  it.live(
    "a worker that takes too much memory is replaced, one that takes far too much is killed",
    () =>
      setup({ memoryLimit: "250 MiB", memoryHardLimit: "600 MiB", rssEvery: "100 millis" }, ({ event, runtime }) =>
        Effect.gen(function* () {
          const a = yield* runtime.client("a")
          yield* a.Hold({ mb: 250, where: "buffer" })
          assert.deepInclude(yield* event("MemoryLimitPassed"), { limit: "soft", incarnation: 1 })
          assert.deepInclude(yield* event("WorkerExited"), { cause: "asked", expected: true })
          assert.strictEqual(yield* a.Echo({ text: "next" }), "next")
          yield* Effect.forkChild(Effect.exit(a.Hold({ mb: 700, where: "buffer" })))
          const killed = yield* event("WorkerExited")
          assert.include(["memory", "asked"], killed.cause)
        })
      ),
    120_000
  )

  it.live(
    "a worker that needs more than its heap dies of it, and its neighbour does not",
    () =>
      setup(
        { worker: (key) => WorkerSpec.module(module, key === "small" ? { heapSizeMb: 48 } : {}) },
        ({ event, runtime }) =>
          Effect.gen(function* () {
            const [small, large] = [yield* runtime.client("small"), yield* runtime.client("large")]
            yield* large.Hold({ mb: 160, where: "heap" })
            yield* Effect.forkChild(Effect.exit(small.Hold({ mb: 160, where: "heap" })))
            const exited = yield* event("WorkerExited")
            assert.deepInclude(exited, { key: "small", cause: "exited", expected: false })
            assert.include(exited.stderrTail, "heap")
            assert.strictEqual(yield* large.Echo({ text: "here" }), "here")
          })
      ),
    120_000
  )

  it.live(
    "a worker under permissions does what it was allowed to, and nothing else",
    () =>
      setup(
        {
          worker: (key) =>
            key === "all"
              ? WorkerSpec.module(module, { permissions: { read: true, write: true, childProcess: true } })
              : WorkerSpec.module(module, { permissions: { read: [here], write: ["/tmp/nerve-limits-test"] } })
        },
        ({ runtime }) =>
          Effect.gen(function* () {
            const [all, few] = [yield* runtime.client("all"), yield* runtime.client("few")]
            const file = fileURLToPath(module)
            assert.strictEqual(yield* few.Echo({ text: "hi" }), "hi")
            assert.strictEqual(yield* few.Try({ what: "read", path: file }), "allowed")
            assert.strictEqual(yield* few.Try({ what: "read", path: "/etc/hostname" }), "ERR_ACCESS_DENIED")
            assert.strictEqual(yield* few.Try({ what: "write", path: file }), "ERR_ACCESS_DENIED")
            assert.strictEqual(yield* few.Try({ what: "write", path: "/tmp/nerve-limits-test" }), "allowed")
            assert.strictEqual(yield* few.Try({ what: "spawn", path: "true" }), "ERR_ACCESS_DENIED")
            assert.strictEqual(yield* all.Try({ what: "read", path: "/etc/passwd" }), "allowed")
            assert.strictEqual(yield* all.Try({ what: "spawn", path: "true" }), "allowed")
          })
      ),
    120_000
  )

  it.live(
    "an incarnation finds in its environment who it takes over from, and how that ended (L5)",
    () =>
      setup({}, ({ event, runtime }) =>
        Effect.gen(function* () {
          const a = yield* runtime.client("a")
          const first = yield* a.Environment()
          assert.isString(first.NERVE_RESUME_ID)
          assert.notProperty(first, "NERVE_PREV_EXIT")
          yield* Effect.exit(a.Exit({ code: 7 }))
          yield* event("WorkerExited")
          const second = yield* a.Environment()
          assert.deepInclude(second, { NERVE_RESUME_ID: first.NERVE_RESUME_ID, NERVE_PREV_EXIT: "7" })
          process.kill((yield* runtime.info("a")).pid ?? 0, "SIGKILL")
          yield* event("WorkerExited")
          assert.deepInclude(yield* a.Environment(), {
            NERVE_RESUME_ID: first.NERVE_RESUME_ID,
            NERVE_PREV_EXIT: "SIGKILL",
            NERVE_INCARNATION: "3"
          })
        })
      ),
    120_000
  )
})
