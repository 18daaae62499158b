/**
 * Changes of configuration and code, as the kernel takes them over: what is logged before it happens,
 * what the status says, and what becomes of workflows (M9, M10, M14).
 */
import { assert, describe, it } from "@effect/vitest"
import { empty, type NerveConfig } from "@nerve/core/config/NerveConfig"
import { WorkflowName } from "@nerve/core/domain/Ids"
import { Deferred, Effect } from "effect"
import { pass, sense } from "../sense/harness.ts"
import * as Harness from "./harness.ts"

const flow = (name: string): NerveConfig["workflows"][number] => ({
  name: WorkflowName.make(name),
  concurrency: 1,
  overflow: "queue",
  maxQueue: 100,
  onChange: "finish-on-old",
  budget: null
})

const config: NerveConfig = {
  ...empty,
  senses: [sense("cpu"), sense("disk")],
  workflows: [flow("talk"), flow("other")]
}

const problem = {
  line: 2,
  column: 3,
  path: ["senses"],
  key: "senses",
  message: "unknown key",
  expected: "another",
  suggestion: null
}

const reasons = (world: Harness.World, type: string) =>
  Effect.map(world.entries({ source: "kernel", type }), (entries) =>
    entries.map(({ payload }) => (payload as { readonly reason: string }).reason)
  )

describe("another configuration", () => {
  it.effect("is logged, then put in force; the same once more is not worth a word", () =>
    Effect.gen(function* () {
      const world = yield* Harness.make
      const { kernel } = yield* world.start({ config })
      const next: NerveConfig = { ...config, senses: [sense("cpu", { intervalMs: 1_000 })], maxRounds: 3 }
      assert.lengthOf(yield* kernel.reload.configure(next), 3)
      yield* Harness.rest
      assert.isEmpty(yield* kernel.reload.configure({ ...next }))
      assert.deepStrictEqual(yield* reasons(world, "reloaded"), [
        "sense disk removed; sense cpu: interval none -> 1s; max_rounds 20 -> 3"
      ])
      const status = yield* kernel.status
      assert.deepStrictEqual(
        status.senses.map(({ name }) => String(name)),
        ["cpu"]
      )
      yield* pass(3_000)
      assert.isTrue(world.trace.includes("compute cpu"))
    })
  )

  it.effect("that is refused leaves the one before in force, and the status says why until it is mended", () =>
    Effect.gen(function* () {
      const world = yield* Harness.make
      const { kernel } = yield* world.start({ config })
      const refusal = { message: "nerve.yaml:2:3  unknown key", problems: [problem] }
      yield* kernel.reload.refuse(refusal)
      yield* kernel.reload.refuse(refusal)
      assert.lengthOf(yield* reasons(world, "refused"), 1)
      const status = yield* kernel.status
      assert.deepInclude(status.config?.refused, refusal)
      assert.lengthOf(status.senses, 2)
      yield* kernel.reload.configure(config)
      assert.isNull((yield* kernel.status).config?.refused)
      assert.deepStrictEqual(yield* reasons(world, "reloaded"), ["nerve.yaml says again what runs"])
    })
  )

  it.effect("says what needs a restart of the daemon, until it is taken back", () =>
    Effect.gen(function* () {
      const world = yield* Harness.make
      const { kernel } = yield* world.start({ config })
      yield* kernel.reload.configure({ ...config, api: { host: "127.0.0.1", port: 1, token: "hush" } })
      assert.deepStrictEqual((yield* kernel.status).config?.restart, ["api"])
      assert.notInclude(JSON.stringify(yield* world.entries({})), "hush")
      yield* kernel.reload.configure(config)
      assert.deepStrictEqual((yield* kernel.status).config?.restart, [])
    })
  )

  it.effect("that takes a workflow away ends its threads, and keeps nobody else waiting for that", () =>
    Effect.gen(function* () {
      const world = yield* Harness.make
      world.round = () => Effect.never
      const { kernel } = yield* world.start({ config })
      const active = yield* kernel.workflows.trigger({ workflow: "talk", prompt: "", cause: "manual" })
      const queued = yield* kernel.workflows.trigger({ workflow: "talk", prompt: "", cause: "manual" })
      yield* Harness.rest
      yield* kernel.reload.configure({ ...config, workflows: [flow("other"), flow("new")] })
      yield* Harness.rest
      const fresh = yield* kernel.workflows.trigger({ workflow: "new", prompt: "", cause: "manual" })
      assert.strictEqual(fresh.status, "started")
      yield* pass(20_000, 1_000)
      for (const { threadId } of [active, queued]) {
        assert.strictEqual((yield* world.store.run(threadId))?.status, "interrupted")
      }
      assert.lengthOf(yield* world.entries({ source: "workflow", type: "started", refId: queued.threadId }), 0)
      const refused = yield* Effect.flip(kernel.workflows.trigger({ workflow: "talk", prompt: "", cause: "manual" }))
      assert.strictEqual(refused._tag, "UnknownWorkflow")
    })
  )

  it.effect("of agents replaces the workflows' workers when no thread is active", () =>
    Effect.gen(function* () {
      const world = yield* Harness.make
      const gate = yield* Deferred.make<void>()
      const spoken = world.round
      world.round = (round) => Effect.andThen(Deferred.await(gate), spoken(round))
      const { kernel } = yield* world.start({ config })
      const { threadId } = yield* kernel.workflows.trigger({ workflow: "talk", prompt: "", cause: "manual" })
      yield* Harness.rest
      yield* kernel.reload.configure({
        ...config,
        agents: [{ name: "writer", type: "command", model: null, timeoutMs: null }]
      })
      yield* pass(5_000, 500)
      assert.strictEqual(world.children.living("talk").incarnation, 1)
      yield* Deferred.succeed(gate, undefined)
      yield* pass(5_000, 500)
      assert.strictEqual((yield* world.store.run(threadId))?.status, "completed")
      assert.strictEqual(world.children.living("talk").incarnation, 2)
    })
  )

  it.effect("of agents does with threads that run what the workflow's on_change says", () =>
    Effect.gen(function* () {
      const world = yield* Harness.make
      world.round = () => Effect.never
      const interrupting = {
        ...config,
        workflows: config.workflows.map((one) => ({ ...one, onChange: "interrupt" as const }))
      }
      const { kernel } = yield* world.start({ config: interrupting })
      const { threadId } = yield* kernel.workflows.trigger({ workflow: "talk", prompt: "", cause: "manual" })
      yield* Harness.rest
      yield* kernel.reload.configure({
        ...interrupting,
        agents: [{ name: "writer", type: "command", model: null, timeoutMs: null }]
      })
      yield* pass(60_000, 1_000)
      assert.strictEqual((yield* world.store.run(threadId))?.status, "interrupted")
    })
  )
})

describe("a workflow that was given up", () => {
  for (const how of ["its code", "its configuration"] as const) {
    it.effect(`comes back when ${how} changes, and starts what was queued`, () =>
      Effect.gen(function* () {
        const world = yield* Harness.make
        const { kernel } = yield* world.start({ config })
        world.round = () =>
          Effect.andThen(
            Effect.suspend(() => world.children.living("talk").exit({ code: 1, signal: null })),
            Effect.never
          )
        yield* kernel.workflows.trigger({ workflow: "talk", prompt: "", cause: "manual" })
        const queued = yield* kernel.workflows.trigger({ workflow: "talk", prompt: "", cause: "manual" })
        yield* pass(2_000, 500)
        const isStarted = Effect.map(
          world.entries({ source: "workflow", type: "started", refId: queued.threadId }),
          (entries) => entries.length > 0
        )
        // What was never delivered was never started.
        assert.isFalse(yield* isStarted)
        world.round = Harness.speaks(1)
        yield* how === "its code"
          ? kernel.reload.codeChanged({ senses: [], workflows: [{ name: "talk", files: ["workflows/talk.ts"] }] })
          : kernel.reload.configure({ ...config, workflows: [{ ...flow("talk"), maxQueue: 5 }, flow("other")] })
        yield* pass(5_000, 500)
        assert.isTrue(yield* isStarted)
        assert.strictEqual((yield* world.store.run(queued.threadId))?.status, "completed")
      })
    )
  }
})
