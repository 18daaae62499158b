/** `nerve bundle` as a real process: what it writes, what it says. What a bundle does is tested in `@nerve/node`. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { cpSync, existsSync, readFileSync, symlinkSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { nerve, run, startScript, workspace } from "./run.ts"

const modules = fileURLToPath(new URL("../../../../node_modules", import.meta.url))

const worker = `import * as Effect from "effect/Effect"\nexport default Effect.void\n`

const installed = Effect.tap(
  workspace({
    "a.worker.ts": worker,
    "b/b.worker.ts": worker,
    "b/a.worker.ts": worker,
    "wrong.ts": "import './none.ts'"
  }),
  (root) => Effect.sync(() => symlinkSync(modules, join(root, "node_modules")))
)

describe("nerve bundle", () => {
  it.live("writes a file and its map for each entry", () =>
    Effect.gen(function* () {
      const root = yield* installed
      const { code, stderr, stdout } = yield* run(root, "bundle", "a.worker.ts", "b/b.worker.ts", "--out", "out")
      assert.strictEqual(code, 0, stderr)
      assert.match(stdout, /out\/a\.worker\.mjs {2}\d+ KiB\n.*out\/b\.worker\.mjs {2}\d+ KiB\n$/)
      for (const name of ["a", "b"]) assert.isTrue(existsSync(join(root, `out/${name}.worker.mjs.map`)))
      const options = ["--out", "plain", "--no-source-map", "--external", "effect", "--json"]
      const plain = yield* run(root, "bundle", "a.worker.ts", ...options)
      const file = join(root, "plain/a.worker.mjs")
      const bytes = readFileSync(file).length
      assert.deepStrictEqual(JSON.parse(plain.stdout), [{ file, map: null, bytes }])
      assert.isFalse(existsSync(`${file}.map`))
      assert.include(readFileSync(file, "utf8"), `from"effect/Effect"`)
    }).pipe(Effect.scoped)
  )

  it.live("says what is wrong and where, and exits with 1", () =>
    Effect.gen(function* () {
      const root = yield* installed
      const wrong = yield* run(root, "bundle", "wrong.ts", "--out", "out")
      assert.deepInclude(wrong, { code: 1, stdout: "" })
      assert.include(wrong.stderr, `${join(root, "wrong.ts")}:1:8 Could not resolve "./none.ts"`)
      const twice = yield* run(root, "bundle", "a.worker.ts", "b/a.worker.ts", "--out", "out")
      assert.deepInclude(twice, { code: 1, stdout: "" })
      assert.include(twice.stderr, "two of these would become out/a.worker.mjs")
    }).pipe(Effect.scoped)
  )

  it.live("names esbuild where it is not installed", () =>
    Effect.gen(function* () {
      const root = yield* workspace({ "a.worker.ts": worker })
      // The command line as it was installed, where nothing else is.
      cpSync(dirname(nerve), join(root, "cli"), { recursive: true })
      const script = yield* startScript(root, join(root, "cli/nerve.mjs"), "bundle", "a.worker.ts", "--out", "out")
      const { code, stderr } = yield* script.ended
      assert.strictEqual(code, 1)
      assert.include(stderr, "npm install --save-dev esbuild")
    }).pipe(Effect.scoped)
  )
})
