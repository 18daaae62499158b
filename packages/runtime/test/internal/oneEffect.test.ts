/** A second copy of Effect, as an application has one that resolved `effect` to another folder. */
import * as FakeSpawner from "@nerve/runtime/testing/FakeSpawner"
import { type Spawner, Supervisor, WorkerPool, WorkerRuntime, WorkerSpec } from "@nerve/runtime"
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { RpcGroup } from "effect/rpc"

type Run = typeof Effect.runPromise

/** Node loads a module anew for each query; what it imports is shared, and fibers come from this one. */
const otherCopy = async (): Promise<{ readonly runPromise: Run }> => {
  const here = import.meta.resolve("effect/Effect")
  return await import(/* @vite-ignore */ new URL("internal/effect.js?copy", here).href)
}

const options = { rpcs: RpcGroup.make(), worker: () => WorkerSpec.module("none"), size: 1 }
const programs: Readonly<Record<string, Effect.Effect<unknown, unknown, Spawner.Spawner | Scope.Scope>>> = {
  WorkerRuntime: WorkerRuntime.make(options),
  WorkerPool: WorkerPool.make(options),
  Supervisor: Supervisor.make({ children: [] })
}

describe("two copies of Effect in a process", () => {
  for (const [name, program] of Object.entries(programs)) {
    const made = Effect.as(program, "made").pipe(Effect.scoped, Effect.provide(FakeSpawner.layer(() => Effect.never)))
    it(`are found out when a ${name} is made`, async () => {
      const { runPromise } = await otherCopy()
      assert.strictEqual(await Effect.runPromise(made), "made")
      const error: unknown = await runPromise(made).then(String, (error: unknown) => error)
      assert.match(String(error), /two copies of the package "effect" are loaded/)
    })
  }
})
