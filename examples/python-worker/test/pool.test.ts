/** A pool whose workers are Python (P7). */
import { assert, describe, it } from "@effect/vitest"
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import * as WorkerPool from "@nerve/runtime/supervision/WorkerPool"
import type * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Effect, Fiber, Stream } from "effect"
import { FixtureRpcs, Refused } from "./FixtureRpcs.ts"
import { file, python } from "./python.ts"

const test =
  (body: (pool: WorkerPool.WorkerPool<WorkerRuntime.RpcsOf<typeof FixtureRpcs>>) => Effect.Effect<void, unknown>) =>
  () =>
    Effect.scoped(
      Effect.gen(function* () {
        const pool = yield* WorkerPool.make({
          rpcs: FixtureRpcs,
          worker: () => WorkerSpec.command(python ?? "python3", [file("test/fixture.py")], { transport: "stdio" }),
          size: 2
        })
        yield* pool.ready
        yield* body(pool)
      })
    ).pipe(Effect.provide(NodeSpawner.layer()))

const texts = Array.from({ length: 500 }, (_, n) => String(n))

describe.skipIf(python === undefined)("a pool of workers in Python", () => {
  it.live(
    "answers each call with its own answer, typed error or items",
    test((pool) =>
      Effect.gen(function* () {
        const echoes = Effect.forEach(texts, (text) => pool.client.Echo({ text }), { concurrency: 16 })
        const [answers, refused, items] = yield* Effect.all(
          [
            echoes,
            Effect.flip(pool.client.Refuse({ why: "no", code: 7 })),
            Stream.runCollect(pool.client.Count({ to: 300 }))
          ],
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(answers, texts)
        assert.instanceOf(refused, Refused)
        assert.deepStrictEqual(
          items,
          Array.from({ length: 300 }, (_, n) => n)
        )
      })
    )
  )

  it.live(
    "kills one that passes its bound or dies, and no other call fails",
    test((pool) =>
      Effect.gen(function* () {
        const echoes = yield* Effect.forkChild(
          Effect.forEach(texts, (text) => pool.client.Echo({ text }), { concurrency: 4 })
        )
        assert.deepInclude(yield* Effect.flip(pool.execute("Block", undefined, { timeoutMs: 500 })), {
          _tag: "CallTimeout"
        })
        assert.deepInclude(yield* Effect.flip(pool.client.Crash({ code: 3 })), { _tag: "WorkerDied" })
        assert.deepStrictEqual(yield* Fiber.join(echoes), texts)
        assert.strictEqual(yield* pool.client.Echo({ text: "and on" }), "and on")
      })
    )
  )

  it.live(
    "is reloaded one worker at a time without failing a call",
    test((pool) =>
      Effect.gen(function* () {
        const echoes = yield* Effect.forkChild(
          Effect.forEach(texts, (text) => pool.client.Echo({ text }), { concurrency: 4 })
        )
        yield* pool.reload
        assert.deepStrictEqual(yield* Fiber.join(echoes), texts)
      })
    )
  )
})
