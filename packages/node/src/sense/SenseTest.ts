/**
 * For tests of senses: one sense with its migrations applied, on a database of its own, computed when asked.
 *
 * ```ts
 * const disk = yield* SenseTest.open(sense, { workspace, name: "disk", params: { path: "/" } })
 * const outcome = yield* disk.compute
 * disk.db.prepare("SELECT usage FROM readings").all()
 * ```
 *
 * It is what a worker does with a sense, without the worker. Without Effect: `await SenseTest.run(sense, …)`.
 */
import type { Outcome, Sense } from "@nerve/core/authoring/Sense"
import { SenseName } from "@nerve/core/domain/Ids"
import type { Problem } from "@nerve/core/domain/Problem"
import type { ComputeFailed, ComputeTimeout } from "@nerve/core/wire/SenseRpcs"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { Scope } from "effect/Scope"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import type { Line } from "../user/UserLog.ts"
import * as MigrationThread from "./MigrationThread.ts"
import * as SenseInstance from "./SenseInstance.ts"

export interface Options {
  /** Absolute path: of its migrations, and of its peers' databases. */
  readonly workspace: string
  /** As in nerve.yaml. */
  readonly name: string
  /** As in nerve.yaml. */
  readonly params?: Schema.Json
  /** Senses whose databases it can read. */
  readonly peers?: ReadonlyArray<string>
  /** Soft timeout in milliseconds; 30 000 unless told. */
  readonly timeoutMs?: number
}

/** A sense under test. */
export interface SenseTest<A> {
  readonly compute: Effect.Effect<Outcome<A>, ComputeFailed | ComputeTimeout>
  /** Its database, as another connection sees it: what is rolled back is not there. */
  readonly db: DatabaseSync
  /** Its log lines so far. */
  readonly lines: ReadonlyArray<Line>
}

/** Opens a sense, given what its module exports. Fails as its boot in a worker would. */
export const open = Effect.fnUntraced(function* <A, S, T>(
  sense: Sense<A, S, T>,
  options: Options
): Effect.fn.Return<SenseTest<A>, Problem, Scope> {
  const { name, params, peers = [], timeoutMs = 30_000, workspace } = options
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "nerve-sense-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )
  const database = join(folder, "sense.db")
  const lines: Array<Line> = []
  const instance = yield* SenseInstance.open(sense, `senses/${name}`, {
    workspace,
    sense: { name: SenseName.make(name), timeoutMs, database, ...(params === undefined ? {} : { params }) },
    peers: () => peers,
    log: (line) => lines.push(line),
    migrate: yield* MigrationThread.make
  })
  const db = yield* Effect.acquireRelease(
    Effect.sync(() => new DatabaseSync(database)),
    (handle) => Effect.sync(() => handle.close())
  )
  const compute = Effect.map(instance.compute(undefined), (outcome): Outcome<A> => {
    if (outcome._tag === "NoSignal") return outcome
    const { launches, value } = outcome
    return { _tag: "Signal", value: sense.decode(value), launches }
  })
  return { compute, db, lines }
})

/** Opens a sense, uses it, and closes it. What it fails with is thrown. */
export const run = <A, S, T, B>(
  sense: Sense<A, S, T>,
  options: Options,
  use: (test: {
    readonly compute: () => Promise<Outcome<A>>
    readonly db: DatabaseSync
    readonly lines: ReadonlyArray<Line>
  }) => Promise<B>
): Promise<B> =>
  open(sense, options).pipe(
    Effect.mapError((problem) => new Error(problem.message)),
    Effect.flatMap(({ compute, db, lines }) =>
      Effect.promise(() => use({ compute: () => Effect.runPromise(compute), db, lines }))
    ),
    Effect.scoped,
    Effect.runPromise
  )
