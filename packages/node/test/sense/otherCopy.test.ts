/**
 * A worker's bundle brings its own copy of Effect, and the user's modules import another. Whatever
 * passes between the two has to survive that: schemas do not, Effects do.
 */
import { assert, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { build } from "esbuild"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { importNatively, makeWorkspace } from "../user/workspace.ts"
import { effectSense, plainSense } from "./senses.ts"

it.live("a sense whose module imports another copy of Effect works like any other", () =>
  Effect.gen(function* () {
    const workspace = yield* makeWorkspace({
      "senses/a.ts": effectSense(
        `
    const sql = yield* Sense.Database
    yield* Effect.log("in it")
    yield* sql.withTransaction(sql\`INSERT INTO t VALUES (\${3})\`)
    yield* Effect.sleep("1 millis")
    const peer = yield* (yield* Sense.Peers).get("b")
    yield* peer\`SELECT 1\`
    return Sense.signal({ n: (yield* sql\`SELECT * FROM t\`).length, at: new Date(0) })`,
        "Schema.Struct({ n: Schema.Finite, at: Schema.Date })"
      ),
      "senses/a/migrations/1.sql": "CREATE TABLE t (x);",
      "senses/b.ts": plainSense("return Sense.signal({ n: Infinity })"),
      "senses/c.ts": effectSense(`return yield* Effect.fail(new Error("failed"))`),
      "senses/d.ts": effectSense(`return yield* Effect.onInterrupt(Effect.never, () => Effect.log("interrupted"))`)
    })
    yield* Effect.promise(() =>
      build({
        entryPoints: {
          host: join(import.meta.dirname, "otherCopy.fixture.ts"),
          migrationThread: join(import.meta.dirname, "../../src/worker/migrationThreadEntry.ts")
        },
        outdir: workspace,
        outExtension: { ".js": ".mjs" },
        bundle: true,
        platform: "node",
        format: "esm",
        logLevel: "error"
      })
    )
    const bundle: unknown = yield* Effect.promise(() => importNatively(pathToFileURL(join(workspace, "host.mjs")).href))
    assert(typeof bundle === "object" && bundle !== null && "run" in bundle && typeof bundle.run === "function")
    const { run } = bundle
    const result: unknown = yield* Effect.promise(() => run(workspace, ["a", "b", "c", "d"]))
    expect(result).toMatchObject({
      ready: { senses: ["a", "b", "c", "d"].map((name) => ({ name, problem: null })) },
      outcomes: [
        { _tag: "Signal", value: { n: 1, at: "1970-01-01T00:00:00.000Z" }, launches: [] },
        {
          error: "ComputeFailed",
          message: "the signal's value does not fit the sense's `signal` schema: Expected a finite number at [\"n\"]"
        },
        { error: "ComputeFailed", message: "failed" },
        { error: "ComputeTimeout" }
      ],
      lines: [
        { level: "Info", message: "in it", fields: { sense: "a" } },
        { level: "Info", message: "interrupted", fields: { sense: "d" } }
      ]
    })
  })
)
