/**
 * What user code gets when it imports Effect in a real worker: the copy that the worker carries. Each
 * test writes a worker into a workspace of its own and asks it what it found.
 */
import { assert, describe, it } from "@effect/vitest"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Effect, Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { fileName } from "../../src/worker/sharedSpecifiers.ts"

const repository = fileURLToPath(new URL("../../../..", import.meta.url))

const AskRpcs = RpcGroup.make(Rpc.make("Ask", { success: Schema.Json }))

/** The worker around the code under test, which imports what it likes and defines `result`. */
const worker = (code: string) => `${code}
import * as EffectModule from "effect/Effect"
import * as RpcModule from "effect/rpc/Rpc"
import * as RpcGroupModule from "effect/rpc/RpcGroup"
import * as SchemaModule from "effect/Schema"
import * as WorkerModule from "@nerve/runtime/ipc/Worker"
const group = RpcGroupModule.make(RpcModule.make("Ask", { success: SchemaModule.Json }))
export default WorkerModule.serve(group, { Ask: () => EffectModule.succeed(result) })
`

/** The modules that the worker carries: what is the same object came from there. */
const bundled = (specifier: string) =>
  JSON.stringify(new URL(`../../dist/${fileName(specifier)}.mjs`, import.meta.url).href)

const carried = `
import * as carriedEffect from ${bundled("effect/Effect")}
import * as carriedSchema from ${bundled("effect/Schema")}
import * as carriedSqlClient from ${bundled("effect/sql/SqlClient")}
`

type Install = (modules: string) => void

/** The repository's own Effect, as a package manager would link it. */
const sameVersion: Install = (modules) => symlinkSync(join(repository, "node_modules/effect"), join(modules, "effect"))

const otherVersion: Install = (modules) => {
  mkdirSync(join(modules, "effect/dist/esm"), { recursive: true })
  const manifest = {
    name: "effect",
    version: "3.19.0",
    type: "module",
    exports: { ".": "./dist/esm/index.js", "./*": "./dist/esm/*.js" }
  }
  writeFileSync(join(modules, "effect/package.json"), JSON.stringify(manifest))
  for (const name of ["index", "Effect", "Micro"])
    writeFileSync(join(modules, `effect/dist/esm/${name}.js`), "export const succeed = 3\n")
}

const none: Install = () => {}

/** What the code found, or how the worker said that it could not run. */
const ask = (code: string, options: { readonly install?: Install; readonly files?: Record<string, string> } = {}) =>
  Effect.scoped(
    Effect.gen(function* () {
      const workspace = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "nerve-shared-"))),
        (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
      )
      const write = (name: string, text: string) => {
        mkdirSync(dirname(join(workspace, name)), { recursive: true })
        writeFileSync(join(workspace, name), text)
      }
      mkdirSync(join(workspace, "node_modules"))
      const install = options.install ?? sameVersion
      install(join(workspace, "node_modules"))
      write("package.json", `{"type":"module"}`)
      for (const [name, text] of Object.entries(options.files ?? {})) write(name, text)
      write("worker.ts", worker(code))
      const exits: Array<string> = []
      const runtime = yield* WorkerRuntime.make({
        rpcs: AskRpcs,
        worker: (_key: string) => WorkerSpec.module(join(workspace, "worker.ts")),
        respawn: RespawnPolicy.never,
        onEvent: (event) => Effect.sync(() => void (event._tag === "WorkerExited" && exits.push(event.stderrTail)))
      })
      const client = yield* runtime.client("a")
      const answer = yield* Effect.exit(client.Ask())
      return answer._tag === "Success" ? answer.value : { failed: exits.join("\n") }
    })
  ).pipe(Effect.provide(NodeSpawner.layer()))

const finds = (name: string, code: string, expected: Schema.Json, options?: Parameters<typeof ask>[1]) =>
  it.live(name, () => Effect.map(ask(code, options), (found) => assert.deepStrictEqual(found, expected)))

const failsWith = (name: string, code: string, expected: ReadonlyArray<string>, options?: Parameters<typeof ask>[1]) =>
  it.live(name, () =>
    Effect.map(ask(code, options), (found) => {
      for (const text of expected) assert.include(JSON.stringify(found), text)
    })
  )

describe("modules by their own name", () => {
  finds(
    "are those that the worker carries",
    `${carried}
     import * as Effect from "effect/Effect"
     import * as SqlClient from "effect/sql/SqlClient"
     const result = [Effect.gen === carriedEffect.gen, SqlClient.SqlClient === carriedSqlClient.SqlClient]`,
    [true, true]
  )

  finds(
    "are the same by dynamic import and by require",
    `${carried}
     import { createRequire } from "node:module"
     const dynamic = await import("effect/Effect")
     const required = createRequire(import.meta.url)("effect/Effect")
     const result = [dynamic.gen, required.gen].map((gen) => gen === carriedEffect.gen)`,
    [true, true]
  )

  finds(
    "serve a workspace that has no Effect of its own",
    `import * as Effect from "effect/Effect"
     import { Schema } from "effect"
     const result = Effect.runSync(Schema.decodeUnknownEffect(Schema.FiniteFromString)("42"))`,
    42,
    { install: none }
  )

  finds(
    "a package that is called as a property of every object is loaded as ever",
    `import { answer } from "constructor"
     const result = answer`,
    42,
    {
      files: {
        "node_modules/constructor/package.json": `{"type":"module","exports":"./index.js"}`,
        "node_modules/constructor/index.js": "export const answer = 42"
      }
    }
  )
})

describe("the barrel", () => {
  finds(
    "gives the carried modules when all its names are carried, however the import is written",
    `${carried}
     import {
       Effect as Fx, // isn't this a comment; with a quote'
       /* Tracer, */ Schema,
       type Tracer as T
     } from "effect"
     import type { RateLimiter } from "effect"
     // import { Nothing } from "effect"
     export { Option } from 'effect'
     const result = [Fx === carriedEffect, Schema === carriedSchema]`,
    [true, true]
  )

  finds(
    "gives all of it when one name is not carried, and what it shares with the carried is the same",
    `${carried}
     import { Effect, Micro, Schema, Trie } from "effect"
     const result = [
       Effect.gen === carriedEffect.gen,
       typeof Trie.empty,
       Effect.runSync(Schema.decodeUnknownEffect(Schema.FiniteFromString)("42"))
     ]`.replace("Micro, ", ""),
    [true, "function", 42]
  )

  finds(
    "gives all of it to import *, and to a dynamic import beside a static one",
    `import * as All from "effect"
     import { Effect } from "effect"
     const dynamic = await import("effect")
     const result = [typeof All.Trie.empty, typeof dynamic.Trie.empty, Effect.gen === dynamic.Effect.gen]`,
    ["function", "function", true]
  )

  finds(
    "gives functions as well",
    `import { pipe, Effect } from "effect"
     const result = pipe(1, Effect.succeed, Effect.runSync)`,
    1
  )

  finds(
    "gives all of it to a file that only passes it on",
    `import { Effect, Trie } from "./effects.ts"
     const result = [typeof Effect.gen, typeof Trie.empty]`,
    ["function", "function"],
    { files: { "effects.ts": `export * from "effect"` } }
  )
})

describe("the barrel of nerve", () => {
  finds(
    "gives what a file takes, and all of it when it takes more",
    `import { Sense } from "@nerve/core"
     import { Workflow, createRole } from "@nerve/core"
     import { other } from "./other.ts"
     import * as SenseModule from "@nerve/core/authoring/Sense"
     const result = [Sense.make === SenseModule.make, typeof createRole, other.make === Workflow.make]`,
    [true, "function", true],
    { files: { "other.ts": `import { Workflow } from "@nerve/core"\nexport const other = Workflow` } }
  )
})

describe("modules that are not carried", () => {
  finds(
    "run on the carried ones: services, schemas and errors of both are of one kind",
    `${carried}
     import * as HttpClientError from "effect/http/HttpClientError"
     import * as HttpClient from "effect/http/HttpClient"
     import * as Effect from "effect/Effect"
     import * as Context from "effect/Context"
     import * as Schema from "effect/Schema"
     import * as Trie from "effect/Trie"
     const service = Context.Service("test/Service")
     const result = [
       Effect.isEffect(HttpClient.get("http://localhost")),
       Effect.runSync(Effect.provideService(service, service, 7)),
       Schema.is(Schema.Struct({ n: Schema.Finite }))({ n: 1 }),
       [...Trie.make(["a", 1])].length
     ]`,
    [true, 7, true, 1]
  )

  finds(
    "a schema of a module that is not carried decodes and encodes with the carried ones",
    `import * as Schema from "effect/Schema"
     import * as Effect from "effect/Effect"
     import * as Model from "effect/schema/Model"
     class Person extends Model.Class("Person")({ name: Schema.String, at: Schema.DateFromString }) {}
     const person = Effect.runSync(Schema.decodeUnknownEffect(Person)({ name: "a", at: "2026-01-01T00:00:00.000Z" }))
     const result = [person instanceof Person, Effect.runSync(Schema.encodeEffect(Person)(person))]`,
    [true, { name: "a", at: "2026-01-01T00:00:00.000Z" }]
  )
})

describe("a workspace whose Effect is of another version", () => {
  const clear = ["is effect 3.19.0", "nerve's workers carry effect 4", "the two do not mix: install effect@4"]

  failsWith(
    "is told so when it imports a module that is carried",
    `import * as Effect from "effect/Effect"; const result = 1`,
    clear,
    {
      install: otherVersion
    }
  )

  failsWith("is told so when it imports the barrel", `import { Effect } from "effect"; const result = 1`, clear, {
    install: otherVersion
  })

  failsWith(
    "is told so when it imports a module that is not carried",
    `import * as Micro from "effect/Micro"; const result = 1`,
    clear,
    {
      install: otherVersion
    }
  )
})
