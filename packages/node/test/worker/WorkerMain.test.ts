/** What the author of a worker sees of a module that cannot be loaded, and what a program finds; real processes. */
import { assert, describe, it } from "@effect/vitest"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Effect, Queue } from "effect"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { EchoRpcs } from "../supervision/EchoRpcs.ts"

const modules = {
  number: "export default 5",
  missing: 'import "./nowhere.ts"',
  throws: 'throw new TypeError("at import")',
  syntax: "export default {",
  ends: 'import { Effect } from "effect"; export default Effect.void',
  init: `import * as Worker from "@nerve/runtime/ipc/Worker"
    import { Schema } from "effect"
    export default Worker.init(Schema.Struct({ port: Schema.Int }))`
}

const scoped = `import * as Worker from "@nerve/runtime/ipc/Worker"
  import { Effect } from "effect"
  import { RpcGroup } from "effect/rpc"
  export default Effect.gen(function* () {
    yield* Effect.addFinalizer(() => Effect.logInfo("closed"))
    return yield* Worker.serve(RpcGroup.make(), {})
  }) satisfies Worker.Program`

/** A folder within the workspace, so that its packages are found. */
const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(fileURLToPath(new URL(".", import.meta.url)), ".modules-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const spec = (path: string, name: string, text: string) =>
  Effect.sync(() => {
    const file = join(path, `${name}.ts`)
    writeFileSync(file, text)
    return WorkerSpec.module(file, { init: { port: "80" } })
  })

describe("a worker's module", () => {
  it.live("that cannot be loaded says why, to its caller and on stderr", () =>
    Effect.gen(function* () {
      const path = yield* folder
      const specs = new Map<string, WorkerSpec.WorkerSpec>()
      for (const [name, text] of Object.entries(modules)) specs.set(name, yield* spec(path, name, text))
      const runtime = yield* WorkerRuntime.make({
        rpcs: EchoRpcs,
        worker: (name: string) => specs.get(name) ?? WorkerSpec.module("nowhere"),
        respawn: RespawnPolicy.never,
        readyTimeout: "60 seconds"
      })
      const said = (name: string) =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(runtime.start(name))
          const { stderrTail } = yield* runtime.info(name)
          // Of a bundle one line is as long as all of it.
          for (const line of stderrTail.split("\n")) assert.isBelow(line.length, 300, name)
          return error.message
        })
      const [number, missing, throws, syntax, ends, init] = yield* Effect.forEach(Object.keys(modules), said, {
        concurrency: "unbounded"
      })
      assert.match(number ?? "", /number\.ts: the default export must be an Effect/)
      assert.match(missing ?? "", /Cannot find module '.*nowhere\.ts' imported from .*missing\.ts/)
      assert.match(throws ?? "", /TypeError: at import/)
      assert.match(syntax ?? "", /SyntaxError/)
      assert.include((yield* runtime.info("syntax")).stderrTail, "syntax.ts:1")
      assert.match(ends ?? "", /: exit code 0 before it was ready$/)
      assert.match(init ?? "", /the init of worker init does not fit its Schema: .*\["port"\]/)
    }).pipe(Effect.scoped, Effect.provide(NodeSpawner.layer()))
  )

  it.live("has a scope that closes when it is stopped", () =>
    Effect.gen(function* () {
      const path = yield* folder
      const module = yield* spec(path, "scoped", scoped)
      const lines = yield* Queue.unbounded<string>()
      const runtime = yield* WorkerRuntime.make({
        rpcs: EchoRpcs,
        worker: () => module,
        respawn: RespawnPolicy.never,
        onEvent: (event) => (event._tag === "WorkerOutput" ? Queue.offer(lines, event.line) : Effect.void)
      })
      yield* runtime.start("a")
      yield* runtime.evict("a")
      assert.strictEqual(yield* Queue.take(lines), "closed")
    }).pipe(Effect.scoped, Effect.provide(NodeSpawner.layer()))
  )
})
