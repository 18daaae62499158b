/**
 * What a workspace is made of and what of it has changed: with real files.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { appendFileSync, mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import * as Workspace from "../../src/daemon/Workspace.ts"
import * as Sources from "../../src/watch/Sources.ts"
import { makeWorkspace } from "../user/workspace.ts"

const setUp = (files: Record<string, string>) =>
  Effect.gen(function* () {
    const workspace = Workspace.make(yield* makeWorkspace({ "nerve.yaml": "senses:\n", ...files }))
    let snapshot = yield* Sources.look(workspace, Sources.empty)
    return {
      path: (file: string) => join(workspace.root, file),
      write: (file: string, text: string) => {
        mkdirSync(dirname(join(workspace.root, file)), { recursive: true })
        writeFileSync(join(workspace.root, file), text)
      },
      folders: () => [...snapshot.folders],
      /** What has changed of a sense (or a workflow) since the last time, and whether nerve.yaml has. */
      changed: (name: string, kind: Sources.Unit["kind"] = "sense") =>
        Effect.gen(function* () {
          const before = snapshot
          snapshot = yield* Sources.look(workspace, before)
          return Sources.changesOf(workspace, before, snapshot, { kind, name })
        }),
      configChanged: Effect.gen(function* () {
        const before = snapshot
        snapshot = yield* Sources.look(workspace, before)
        return Sources.isConfigChanged(workspace, before, snapshot)
      })
    }
  })

describe("a sense's files", () => {
  it.live("are its module, its migrations, and what these import, far or near", () =>
    Effect.gen(function* () {
      const { changed, write } = yield* setUp({
        "senses/cpu/index.ts": `import { load } from "./load.ts"\nimport data from "../../lib/data.json" with { type: "json" }`,
        "senses/cpu/load.ts": `export { deep } from '../../lib/deep.ts'`,
        "senses/cpu/migrations/001.sql": "CREATE TABLE a (n)",
        "senses/cpu/notes.ts": "nobody imports this",
        "senses/disk.ts": `const lazy = () => import("../lib/lazy.ts")`,
        "lib/deep.ts": "1",
        "lib/lazy.ts": "1",
        "lib/data.json": "1"
      })
      write("senses/cpu/load.ts", `export { deep } from "../../lib/deep.ts"; 2`)
      assert.deepStrictEqual(yield* changed("cpu"), ["senses/cpu/load.ts"])
      write("lib/deep.ts", "2")
      assert.deepStrictEqual(yield* changed("cpu"), ["lib/deep.ts"])
      write("lib/data.json", "2")
      assert.deepStrictEqual(yield* changed("cpu"), ["lib/data.json"])
      write("senses/cpu/index.ts", `import { load } from "./load.ts"`)
      assert.deepStrictEqual(yield* changed("cpu"), ["senses/cpu/index.ts"])
      assert.deepStrictEqual(yield* changed("disk"), [])
      write("senses/cpu/migrations/002.sql", "CREATE TABLE b (n)")
      assert.deepStrictEqual(yield* changed("cpu"), ["senses/cpu/migrations/002.sql"])
      write("senses/cpu/notes.ts", "nobody still")
      assert.deepStrictEqual(yield* changed("cpu"), [])
      write("lib/lazy.ts", "2")
      assert.deepStrictEqual(yield* changed("disk"), ["lib/lazy.ts"])
    })
  )

  it.live("are not touched by a save without a change", () =>
    Effect.gen(function* () {
      const { changed, path, write } = yield* setUp({ "senses/cpu.ts": "1" })
      write("senses/cpu.ts", "1")
      utimesSync(path("senses/cpu.ts"), 1, 1)
      assert.deepStrictEqual(yield* changed("cpu"), [])
      // Of the same size, in the same moment.
      write("senses/cpu.ts", "2")
      assert.deepStrictEqual(yield* changed("cpu"), ["senses/cpu.ts"])
      write("senses/cpu.ts", "3")
      assert.deepStrictEqual(yield* changed("cpu"), ["senses/cpu.ts"])
    })
  )

  it.live("change when an import appears that was missing, and when all goes and comes back", () =>
    Effect.gen(function* () {
      const { changed, folders, path, write } = yield* setUp({ "senses/cpu.ts": `import "../lib/deep/late.ts"` })
      // Where the missing file will turn up has to be watched: the next folder that there is.
      assert.include(folders(), path("").replace(/\/$/, ""))
      write("lib/deep/late.ts", "1")
      assert.deepStrictEqual(yield* changed("cpu"), ["lib/deep/late.ts"])
      assert.include(folders(), path("lib/deep"))
      renameSync(path("senses"), path("elsewhere"))
      assert.deepStrictEqual(yield* changed("cpu"), ["lib/deep/late.ts", "senses/cpu.ts"])
      renameSync(path("elsewhere"), path("senses"))
      assert.deepStrictEqual(yield* changed("cpu"), ["lib/deep/late.ts", "senses/cpu.ts"])
    })
  )

  it.live("may be links, to files and to folders, and links may go round in a circle", () =>
    Effect.gen(function* () {
      const { changed, folders, path, write } = yield* setUp({
        "shared/net/index.ts": "1",
        "shared/one.ts": "1",
        "senses/keep.ts": "1"
      })
      symlinkSync(path("shared/net"), path("senses/net"))
      symlinkSync(path("shared/one.ts"), path("senses/one.ts"))
      symlinkSync(path("senses"), path("senses/loop"))
      assert.deepStrictEqual(yield* changed("net"), ["senses/net/index.ts"])
      assert.include(folders(), path("shared"))
      write("shared/net/index.ts", "2")
      assert.deepStrictEqual(yield* changed("net"), ["senses/net/index.ts"])
      appendFileSync(path("shared/one.ts"), "2")
      assert.deepStrictEqual(yield* changed("one"), ["senses/one.ts"])
    })
  )

  it.live("are no packages", () =>
    Effect.gen(function* () {
      const { changed, folders, write } = yield* setUp({
        "senses/cpu.ts": `import "../node_modules/x/index.js"`,
        "senses/node_modules/y/index.js": "1",
        "node_modules/x/index.js": "1"
      })
      write("node_modules/x/index.js", "2")
      assert.deepStrictEqual(yield* changed("cpu"), [])
      assert.isEmpty(folders().filter((folder) => folder.includes("node_modules")))
    })
  )
})

describe("a workflow's files", () => {
  it.live("are its module and the roles that it imports", () =>
    Effect.gen(function* () {
      const { changed, write } = yield* setUp({
        "workflows/triage.ts": `import { writer } from "../roles/writer.ts"`,
        "roles/writer.ts": "1"
      })
      write("roles/writer.ts", "2")
      assert.deepStrictEqual(yield* changed("triage", "workflow"), ["roles/writer.ts"])
      assert.deepStrictEqual(yield* changed("triage"), [])
    })
  )
})

describe("nerve.yaml", () => {
  it.live("is another when its content is, when it goes, and when it comes back", () =>
    Effect.gen(function* () {
      const { configChanged, path, write } = yield* setUp({})
      assert.isFalse(yield* configChanged)
      write("nerve.yaml", "workflows:\n")
      assert.isTrue(yield* configChanged)
      rmSync(path("nerve.yaml"))
      assert.isTrue(yield* configChanged)
      write("nerve.yaml", "workflows:\n")
      assert.isTrue(yield* configChanged)
    })
  )
})
