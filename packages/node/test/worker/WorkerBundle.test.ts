/** Bundled workers: made by the real esbuild, run as real processes from a folder that holds nothing else. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import * as WorkerBundle from "@nerve/node/worker/WorkerBundle"
import type { WorkerEvent } from "@nerve/runtime/supervision/WorkerEvent"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Cause, Effect, Exit, Fiber, Queue, Schedule, type Scope, Stream } from "effect"
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { SourceMap } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { BundleRpcs } from "./BundleRpcs.ts"

const source = new URL("./bundle.worker.ts", import.meta.url)
const modules = fileURLToPath(new URL("../../../../node_modules", import.meta.url))
const here = realpathSync(tmpdir())
const bound = "60 seconds"

const folder = Effect.acquireRelease(
  Effect.sync(() => realpathSync(mkdtempSync(join(tmpdir(), "nerve-bundle-")))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** A folder with these files, in which Effect and nerve are installed. */
const workspace = (files: Readonly<Record<string, string>>) =>
  Effect.tap(folder, (root) =>
    Effect.sync(() => {
      for (const [name, text] of Object.entries(files)) {
        mkdirSync(dirname(join(root, name)), { recursive: true })
        writeFileSync(join(root, name), text)
      }
      mkdirSync(join(root, "node_modules"), { recursive: true })
      for (const name of ["effect", "@nerve"]) symlinkSync(join(modules, name), join(root, "node_modules", name))
    })
  )

const built = mkdtempSync(join(tmpdir(), "nerve-bundle-"))
beforeAll(() => Effect.runPromise(WorkerBundle.build({ entry: source, outfile: join(built, "worker.mjs") })), 60_000)
afterAll(() => rmSync(built, { recursive: true, force: true }))

/** The worker of these tests as a bundle, in a folder of its own. */
const bundled = Effect.map(folder, (root) => {
  // The map says where its sources are as seen from its folder; this one is beside the one that it was made in.
  for (const name of ["worker.mjs", "worker.mjs.map"]) copyFileSync(join(built, name), join(root, name))
  return pathToFileURL(join(root, "worker.mjs")).href
})

interface Test {
  readonly runtime: WorkerRuntime.WorkerRuntime<string, WorkerRuntime.RpcsOf<typeof BundleRpcs>>
  readonly event: (matches: (event: WorkerEvent<string>) => boolean) => Effect.Effect<WorkerEvent<string>>
  readonly url: string
}

const running = (
  options: (url: string) => {
    readonly worker?: WorkerSpec.WorkerSpec
    readonly spares?: { readonly count: number; readonly module?: string }
  },
  body: (test: Test) => Effect.Effect<void, unknown, Scope.Scope>
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const url = yield* bundled
      const { spares, worker = WorkerSpec.module(url) } = options(url)
      const events = yield* Queue.unbounded<WorkerEvent<string>>()
      const runtime = yield* WorkerRuntime.make({
        rpcs: BundleRpcs,
        worker: (_key: string) => worker,
        respawn: RespawnPolicy.intensity({ max: 4, within: "60 seconds" }),
        spares,
        onEvent: (event) => Queue.offer(events, event)
      })
      const event: Test["event"] = (matches) =>
        Effect.repeat(Queue.take(events), { until: matches }).pipe(Effect.timeout(bound), Effect.orDie)
      yield* body({ runtime, event, url })
    })
  ).pipe(Effect.provide(NodeSpawner.layer()))

const untilWarm = ({ runtime }: Test) =>
  runtime.spares.pipe(
    Effect.repeat({ until: ({ warm }) => warm === 1, schedule: Schedule.spaced("10 millis") }),
    Effect.timeout(bound)
  )

const defectOf = (exit: Exit.Exit<unknown, unknown>): Error => {
  const defect = Exit.isFailure(exit) ? exit.cause.reasons.find(Cause.isDieReason)?.defect : undefined
  if (!(defect instanceof Error)) throw new Error("it did not die of an error")
  return defect
}

describe("a bundled worker", () => {
  it.live("answers, streams, fails typed, is cancelled, and dies of a defect whose stack names its source", () =>
    running(
      () => ({}),
      ({ runtime }) =>
        Effect.gen(function* () {
          const client = yield* runtime.client("a")
          assert.strictEqual(yield* client.Echo({ text: "hi" }), "hi")
          assert.deepStrictEqual(yield* Stream.runCollect(client.Count({ to: 3 })), [1, 2, 3])
          const refused = yield* Effect.flip(client.Refuse({ why: "so" }))
          assert.deepInclude(refused, { _tag: "Refused", why: "so" })
          yield* Fiber.interrupt(yield* Effect.forkChild(client.Never(), { startImmediately: true }))
          const boom = defectOf(yield* Effect.exit(client.Boom()))
          const line =
            readFileSync(source, "utf8")
              .split("\n")
              .findIndex((text) => text.includes("// this line")) + 1
          assert.strictEqual(boom.message, "boom")
          assert.strictEqual(boom.name, "Own")
          assert.match(boom.stack ?? "", new RegExp(`at boom \\(${source.href}:${line}:\\d+\\)`))
        })
    )
  )

  it.live("finds its environment, arguments, folder and init while its module is evaluated", () =>
    running(
      (url) => ({ worker: WorkerSpec.module(url, { args: ["one"], cwd: here, init: { of: "it" } }) }),
      ({ runtime, url }) =>
        Effect.gen(function* () {
          const client = yield* runtime.client("a")
          const found = yield* client.Began()
          assert.deepStrictEqual(found, { key: "a", cwd: here, argv: [url, "one"], init: { of: "it" } })
        })
    )
  )

  it.live("reads no file but its own, and leaves what it does not need of Node unloaded", () =>
    running(
      (url) => ({ worker: WorkerSpec.module(url, { permissions: {} }) }),
      ({ runtime, url }) =>
        Effect.gen(function* () {
          const client = yield* runtime.client("a")
          assert.strictEqual(yield* client.Echo({ text: "hi" }), "hi")
          assert.strictEqual(yield* client.Read({ path: "/etc/hosts" }), "ERR_ACCESS_DENIED")
          const loaded = yield* client.Loaded()
          assert.strictEqual(loaded.url, url)
          // An `import` of node:fs, or a first use of `performance`, loads what costs each start a millisecond or two.
          for (const name of ["internal/fs/streams", "internal/fs/promises", "os", "perf_hooks", "child_process"]) {
            assert.notInclude(loaded.builtins, `NativeModule ${name}`)
          }
        })
    )
  )

  it.live("is captured, dies, comes back and goes like any other", () =>
    running(
      () => ({}),
      ({ event, runtime }) =>
        Effect.gen(function* () {
          const client = yield* runtime.client("a")
          yield* client.Print({ text: "x" })
          yield* event((one) => one._tag === "WorkerOutput" && one.line === "out x")
          const { pid } = yield* runtime.info("a")
          process.kill(pid ?? 0, "SIGKILL")
          yield* event((one) => one._tag === "WorkerExited" && !one.expected)
          assert.strictEqual(yield* client.Echo({ text: "again" }), "again")
          yield* runtime.evict("a")
          const gone = yield* event((one) => one._tag === "WorkerExited" && one.expected)
          assert.deepInclude(gone, { exit: { code: 0, signal: null } })
        })
    )
  )

  it.live("is refused when it speaks another version of the protocol", () =>
    running(
      () => ({}),
      ({ runtime, url }) =>
        Effect.gen(function* () {
          const text = readFileSync(new URL(url), "utf8")
          writeFileSync(new URL(url), text.replace("protocol 1\n", "protocol 99\n"))
          const exit = yield* Effect.exit(runtime.start("a"))
          assert.include(String(Exit.isFailure(exit) && Cause.pretty(exit.cause)), "bundle it again")
        })
    )
  )
})

describe("a spare of a bundled worker", () => {
  it.live("has evaluated nothing of it, and becomes what a start would have made", () =>
    running(
      (url) => ({
        worker: WorkerSpec.module(url, { args: ["one"], cwd: here, init: 7 }),
        spares: { count: 1, module: url }
      }),
      (test) =>
        Effect.gen(function* () {
          yield* untilWarm(test)
          const client = yield* test.runtime.client("a")
          assert.deepStrictEqual(yield* client.Began(), { key: "a", cwd: here, argv: [test.url, "one"], init: 7 })
          assert.deepInclude(yield* test.runtime.spares, { used: 1, died: 0 })
        })
    )
  )

  it.live("is not taken once the bundle has changed", () =>
    running(
      (url) => ({ spares: { count: 1, module: url } }),
      (test) =>
        Effect.gen(function* () {
          yield* untilWarm(test)
          const text = readFileSync(new URL(test.url), "utf8")
          writeFileSync(new URL(test.url), text.replace('"out "', '"new "').replace("`out ${", "`new ${"))
          const client = yield* test.runtime.client("a")
          yield* client.Print({ text: "x" })
          yield* test.event((one) => one._tag === "WorkerOutput" && one.line === "new x")
        })
    )
  )

  it.live("is not taken by another module, nor any other by a bundle", () =>
    Effect.gen(function* () {
      const used = (worker: (url: string) => WorkerSpec.WorkerSpec, module: (url: string) => string | undefined) =>
        Effect.gen(function* () {
          let count = -1
          yield* running(
            (url) => {
              const of = module(url)
              return { worker: worker(url), spares: { count: 1, ...(of === undefined ? {} : { module: of }) } }
            },
            (test) =>
              Effect.gen(function* () {
                yield* untilWarm(test)
                const client = yield* test.runtime.client("a")
                assert.strictEqual(yield* client.Echo({ text: "hi" }), "hi")
                count = (yield* test.runtime.spares).used
              })
          )
          return count
        })
      const ofSource = () => WorkerSpec.module(source)
      assert.strictEqual(yield* used(ofSource, (url) => url), 0)
      assert.strictEqual(yield* used(WorkerSpec.module, () => undefined), 0)
      assert.strictEqual(yield* used(ofSource, () => source.href), 1)
    })
  )
})

const serving = (head: string, answer: string) => `
import * as Worker from "@nerve/runtime/ipc/Worker"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Rpc from "effect/rpc/Rpc"
import * as RpcGroup from "effect/rpc/RpcGroup"
${head}
export default Worker.serve(
  RpcGroup.make(Rpc.make("Echo", { payload: { text: Schema.String }, success: Schema.String })),
  { Echo: ({ text }: { text: string }) => Effect.succeed(${answer}) }
)
`

const refusal = (files: Readonly<Record<string, string>>, outfile = "out/worker.mjs") =>
  Effect.gen(function* () {
    const root = yield* workspace(files)
    const options = { entry: join(root, "worker.ts"), outfile: join(root, outfile) }
    return { root, error: yield* Effect.flip(WorkerBundle.build(options)) }
  })

describe("WorkerBundle.build", () => {
  it.live("holds CommonJS packages, and leaves out those that it is told to", () =>
    Effect.gen(function* () {
      const root = yield* workspace({
        "worker.ts": serving(
          `import old from "old"\nimport * as native from "native"\nconst __filename = "mine"`,
          "[text, old.of(text), typeof native.beside, __filename, Boolean(import.meta.main)].join()"
        ),
        "node_modules/old/index.js": `const { sep } = require("node:path")\nexports.of = (text) => sep + text + typeof __dirname`,
        "out/node_modules/native/package.json": `{ "name": "native", "type": "module", "exports": "./index.js" }`,
        "out/node_modules/native/index.js": `export const beside = 1`
      })
      const { file, inputs } = yield* WorkerBundle.build({
        entry: pathToFileURL(join(root, "worker.ts")),
        outfile: pathToFileURL(join(root, "out/worker.mjs")),
        external: ["native"]
      })
      assert.include(inputs, join(root, "worker.ts"))
      assert.include(inputs, join(root, "node_modules/old/index.js"))
      const runtime = yield* WorkerRuntime.make({
        rpcs: BundleRpcs,
        worker: (_key: string) => WorkerSpec.module(pathToFileURL(file))
      })
      const client = yield* runtime.client("a")
      assert.strictEqual(yield* client.Echo({ text: "hi" }), "hi,/histring,number,mine,false")
    }).pipe(Effect.scoped, Effect.provide(NodeSpawner.layer()))
  )

  it.live("gives a file that says why it could not be loaded, in few words", () =>
    Effect.gen(function* () {
      const said = (name: string, text: string) =>
        Effect.gen(function* () {
          const root = yield* workspace({ [name]: text })
          const entry = join(root, name)
          const { file } = yield* WorkerBundle.build({ entry, outfile: join(root, "worker.mjs") })
          const runtime = yield* WorkerRuntime.make({
            rpcs: BundleRpcs,
            worker: (_key: string) => WorkerSpec.module(file),
            respawn: RespawnPolicy.never,
            readyTimeout: bound
          })
          yield* Effect.flip(runtime.start("a"))
          const { stderrTail } = yield* runtime.info("a")
          assert.isBelow(stderrTail.length, 1500, stderrTail)
          return { entry: pathToFileURL(entry).href, stderrTail }
        })
      const thrown = yield* said(
        "throws.ts",
        `const f = () => {\n  throw new TypeError("at import")\n}\nexport default f()`
      )
      assert.include(thrown.stderrTail, "TypeError: at import")
      assert.include(thrown.stderrTail, `${thrown.entry}:2:9`)
      const later = yield* said(
        "later.ts",
        `setTimeout(() => {\n  throw new TypeError("later")\n})\nexport default await new Promise(() => {})`
      )
      assert.include(later.stderrTail, `${later.entry}:2:9`)
      assert.include((yield* said("number.ts", "export default 5")).stderrTail, "the default export must be an Effect")
    }).pipe(Effect.scoped, Effect.provide(NodeSpawner.layer()))
  )

  it.live("keeps of Effect what is used, also where it is imported from the barrel", () =>
    Effect.gen(function* () {
      const root = yield* folder
      // All of what Effect's own barrel gives is 800 KB.
      const { bytes } = yield* WorkerBundle.build({ entry: source, outfile: join(root, "worker.mjs") })
      assert.isBelow(bytes, 400_000)
    }).pipe(Effect.scoped)
  )

  it.live("maps the worker's own files, and no package", () =>
    Effect.gen(function* () {
      const root = yield* workspace({
        "worker.ts": `import "one"\nimport "./a.ts"\nimport "two"\n\nconsole.log("of worker")\nexport default 1\n`,
        "a.ts": `/** Of two lines,\n * so that it begins on the third. */\nconsole.log("of a")\n`,
        "node_modules/one/index.mjs": `console.log("of one")\n`,
        "node_modules/one/package.json": `{ "name": "one", "exports": "./index.mjs" }`,
        // Behind the worker's own, in the same line of the bundle.
        "node_modules/two/index.mjs": `console.log("of two")\n`,
        "node_modules/two/package.json": `{ "name": "two", "exports": "./index.mjs" }`
      })
      const { file, map } = yield* WorkerBundle.build({
        entry: join(root, "worker.ts"),
        outfile: join(root, "out.mjs")
      })
      const known = new SourceMap(JSON.parse(readFileSync(map ?? "", "utf8")))
      assert.deepStrictEqual(
        known.payload.sources.filter((name) => name.includes("node_modules/")),
        []
      )
      const lines = readFileSync(file, "utf8").split("\n")
      const origin = (text: string) => {
        const row = lines.findIndex((line) => line.includes(text))
        const found = known.findOrigin(row + 1, (lines[row] ?? "").indexOf(text) + 1)
        return "fileName" in found ? `${found.fileName}:${found.lineNumber}` : undefined
      }
      assert.deepStrictEqual(
        ["one", "a", "two", "worker"].map((name) => origin(`"of ${name}"`)),
        [undefined, "a.ts:3", undefined, "worker.ts:5"]
      )
    }).pipe(Effect.scoped)
  )

  it.live("says where a module does not parse or is not there", () =>
    Effect.gen(function* () {
      const { error, root } = yield* refusal({
        "worker.ts": `import { a } from "./a.ts"\nexport default a`,
        "a.ts": `export const a = 1\nimport "no-such-package"\n`
      })
      assert.strictEqual(error._tag, "BundleFailed")
      assert.include(error.message, `${join(root, "a.ts")}:2:8 Could not resolve "no-such-package"`)
      const empty = yield* refusal({ "worker.ts": "export const a = 1\n" })
      assert.include(empty.error.message, 'No matching export in "worker.ts" for import "default"')
      const none = yield* refusal({})
      assert.include(none.error.message, "worker.ts")
      const name = yield* refusal({ "worker.ts": serving("", "text") }, "out/worker.js")
      assert.include(name.error.message, "must end in .mjs")
    }).pipe(Effect.scoped)
  )

  it.live("refuses two copies of Effect, and native code with a word on what to do", () =>
    Effect.gen(function* () {
      const two = yield* refusal({
        "worker.ts": serving(`import { twice } from "other"`, "text + twice"),
        "node_modules/other/index.mjs": `import { once } from "effect"\nexport const twice = once`,
        "node_modules/other/package.json": `{ "name": "other", "exports": "./index.mjs" }`,
        "node_modules/other/node_modules/effect/index.mjs": `export const once = 1`,
        "node_modules/other/node_modules/effect/package.json": `{ "name": "effect", "exports": "./index.mjs" }`
      })
      assert.include(two.error.message, "2 copies of Effect")
      const native = yield* refusal({
        "worker.ts": serving(`import addon from "addon"`, "text + addon"),
        "node_modules/addon/index.js": `module.exports = require("./addon.node")`,
        "node_modules/addon/addon.node": "x"
      })
      assert.include(native.error.message, "`external`")
    }).pipe(Effect.scoped)
  )
})
