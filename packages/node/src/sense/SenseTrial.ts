/**
 * One compute of a sense in a worker of its own, outside any daemon: on a copy of its database, to see what
 * it would do; or on its own one, by whoever holds the workspace's lock. The peers are the real ones, which
 * nobody can write.
 *
 * Whatever the sense does to its worker (it hangs, exits, takes all memory) is an outcome like any other.
 */
import { format } from "@nerve/core/domain/WorkerExit"
import type { NerveConfig, SenseConfig } from "@nerve/core/config/NerveConfig"
import { GroupName } from "@nerve/core/domain/Ids"
import type { Problem } from "@nerve/core/domain/Problem"
import type { TickLine } from "@nerve/core/domain/Tick"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import { type ComputeOutcome, SenseRpcs, SenseWorkerInit, SenseWorkerReady } from "@nerve/core/wire/SenseRpcs"
import type { Spawner } from "@nerve/runtime/supervision/Spawner"
import type { WorkerEvent } from "@nerve/runtime/supervision/WorkerEvent"
import { RespawnLimitReached, WorkerDied } from "@nerve/runtime/supervision/WorkerError"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Scope } from "effect/Scope"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { backup, DatabaseSync } from "node:sqlite"
import * as DatabaseDiff from "./DatabaseDiff.ts"
import * as SenseDatabase from "./SenseDatabase.ts"
import { senseWorkerSpec } from "./senseWorkerSpec.ts"

/** What came of it. All but the first two are failures. */
export type TrialOutcome =
  | ComputeOutcome
  | { readonly _tag: "Failed"; readonly message: string; readonly stack: string | null }
  | { readonly _tag: "TimedOut"; readonly message: string }
  | { readonly _tag: "Killed"; readonly message: string }
  | { readonly _tag: "Died"; readonly message: string; readonly stderr: string }
  | { readonly _tag: "Broken"; readonly problem: Problem }

export interface Trial {
  readonly sense: SenseConfig
  readonly outcome: TrialOutcome
  readonly durationMs: number
  readonly lines: ReadonlyArray<TickLine>
  /** Null when its database could not be compared. */
  readonly changes: DatabaseDiff.DatabaseDiff | null
  /** Nothing was computed: the signal is one that the log did not have yet. */
  readonly leftOver: boolean
}

export interface Options {
  /** Absolute path. */
  readonly workspace: string
  readonly config: Pick<NerveConfig, "senses">
  readonly sense: SenseConfig
  /** Lines beyond this are left out. */
  readonly maxLines?: number
}

/** A folder for copies, removed with the scope. */
export const temporaryFolder: Effect.Effect<string, never, Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "nerve-trial-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** Copies a database as it is at one moment, also while somebody writes to it. False when there is none. */
export const copy = (from: string, to: string): Effect.Effect<boolean> =>
  existsSync(from)
    ? Effect.acquireUseRelease(
        Effect.sync(() => new DatabaseSync(from, { readOnly: true, timeout: 5_000 })),
        (database) =>
          Effect.as(
            Effect.promise(() => backup(database, to)),
            true
          ),
        (database) => Effect.sync(() => database.close())
      )
    : Effect.succeed(false)

/** One compute on a copy. */
export const onCopy = (options: Options): Effect.Effect<Trial, never, Spawner> =>
  Effect.gen(function* () {
    const database = join(yield* temporaryFolder, "sense.db")
    yield* copy(join(options.workspace, SenseDatabase.fileOf(options.sense.name)), database)
    return yield* run(options, { database, recorded: undefined })
  }).pipe(Effect.scoped)

/** Signals of computes on the sense's own database: which was recorded last, and how to record one. */
export interface Signals<E, R> {
  /** Key of its last signal in the log. */
  readonly recorded: string | null
  readonly record: (
    signal: Extract<ComputeOutcome, { readonly _tag: "Signal" }>,
    trial: Omit<Trial, "outcome" | "changes">
  ) => Effect.Effect<void, E, R>
}

/** One compute on the sense's own database. Its signal is recorded, and before it one that was left over. */
export const onOwn = <E, R>(options: Options, signals: Signals<E, R>): Effect.Effect<Trial, E, R | Spawner> =>
  Effect.gen(function* () {
    let { recorded } = signals
    while (true) {
      const trial = yield* Effect.scoped(run(options, { database: undefined, recorded }))
      if (trial.outcome._tag !== "Signal") return trial
      yield* signals.record(trial.outcome, trial)
      if (!trial.leftOver) return trial
      recorded = trial.outcome.key ?? null
    }
  })

interface How {
  readonly database: string | undefined
  readonly recorded: string | null | undefined
}

const run = Effect.fnUntraced(function* (options: Options, how: How): Effect.fn.Return<Trial, never, Spawner | Scope> {
  const { sense, workspace } = options
  const folder = yield* temporaryFolder
  const file = how.database ?? join(workspace, SenseDatabase.fileOf(sense.name))
  const before = join(folder, "before.db")
  const after = join(folder, "after.db")
  const worker = yield* open(options, how)

  const boot = yield* worker.boot
  if (boot !== null) {
    return { sense, outcome: boot, durationMs: 0, lines: worker.lines(), changes: null, leftOver: false }
  }
  const leftOver = how.recorded !== undefined && worker.lastSignal() !== how.recorded
  // What its migrations do is no part of the compute.
  yield* copy(file, before)
  const [took, outcome] = yield* Effect.timed(worker.compute)
  yield* copy(file, after)
  const changes = yield* Effect.sync(() => DatabaseDiff.diff(before, after))
  return { sense, outcome, durationMs: Duration.toMillis(took), lines: worker.lines(), changes, leftOver }
})

const encodeInit = Schema.encodeSync(Schema.toCodecJson(SenseWorkerInit))
const decodeReady = Schema.decodeUnknownOption(SenseWorkerReady)

/** A worker with this one sense. It is gone when the scope closes. */
const open = Effect.fnUntraced(function* (options: Options, how: How) {
  const { config, maxLines = 1_000, sense, workspace } = options
  const { gracePeriodMs, name, params, timeoutMs } = sense
  const group = GroupName.make("trial")
  const lines: Array<TickLine> = []
  let report: Schema.Json = null
  let lastSignal: string | null = null
  let stderr = ""

  const init = encodeInit({
    group,
    workspace,
    senses: [
      {
        name,
        timeoutMs,
        ...(params === undefined ? {} : { params }),
        ...(how.database === undefined ? {} : { database: how.database })
      }
    ],
    peers: config.senses.map((other) => other.name)
  })
  const onEvent = (event: WorkerEvent<GroupName>) =>
    Effect.sync(() => {
      if (event._tag === "WorkerReady") report = event.info
      if (event._tag === "WorkerExited") stderr = event.stderrTail
    })
  const runtime = yield* WorkerRuntime.make<GroupName, WorkerRuntime.RpcsOf<typeof SenseRpcs>>({
    rpcs: SenseRpcs,
    worker: () => senseWorkerSpec(workspace, init),
    respawn: RespawnPolicy.never,
    // It is bounded by its timeout and its grace period, whatever it does meanwhile.
    heartbeat: false,
    onEvent,
    onOutputUnsafe: (event) => {
      if (lines.length < maxLines) lines.push(lineOf(event))
    }
  })
  const client = yield* runtime.client(group)

  const died = (cause: Cause.Cause<unknown>): TrialOutcome => {
    const error = Option.getOrUndefined(Cause.findErrorOption(cause))
    return { _tag: "Died", message: wordsOf(error) ?? Cause.pretty(cause), stderr }
  }

  /** Null once it has booted; else why it has not. */
  const boot = Effect.gen(function* () {
    yield* runtime.start(group)
    const [told] = Option.getOrElse(decodeReady(report), () => ({ senses: [] })).senses
    const final = told?.booting === true ? yield* client.AwaitBoot({ sense: name }) : told
    const problem = final?.problem ?? null
    lastSignal = final?.lastSignal ?? null
    return problem === null ? null : ({ _tag: "Broken", problem } satisfies TrialOutcome)
  }).pipe(Effect.catchCause((cause) => Effect.succeed(died(cause))))

  const boundMs = timeoutMs + gracePeriodMs
  const call = client.RunCompute({ sense: name, ...(how.recorded === undefined ? {} : { recorded: how.recorded }) })
  const compute: Effect.Effect<TrialOutcome> = Effect.exit(Effect.timeoutOption(call, boundMs)).pipe(
    Effect.flatMap((exit) => {
      if (Exit.isFailure(exit)) return Effect.succeed(failureOf(exit.cause) ?? died(exit.cause))
      if (Option.isSome(exit.value)) return Effect.succeed<TrialOutcome>(exit.value.value)
      const message = `compute did not give way within ${boundMs} ms; its worker was killed`
      return Effect.as(runtime.kill(group, message), { _tag: "Killed", message } as const)
    })
  )
  return { boot, compute, lines: () => lines, lastSignal: () => lastSignal }
})

/** Why there is no outcome, in words of whoever tries one sense. */
const wordsOf = (error: unknown): string | undefined => {
  if (error instanceof RespawnLimitReached) return `it took its worker along before it was loaded: ${error.lastFailure}`
  if (error instanceof WorkerDied) return `it took its worker along: ${format(error.exit)}${error.why}`
  return error instanceof Error ? error.message : undefined
}

/** A failure that the worker itself told. */
const failureOf = (cause: Cause.Cause<unknown>): TrialOutcome | undefined => {
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (typeof error !== "object" || error === null || !("_tag" in error) || !("message" in error)) return undefined
  const message = String(error.message)
  if (error._tag === "ComputeTimeout") return { _tag: "TimedOut", message }
  const stack = "stack" in error && typeof error.stack === "string" ? error.stack : null
  return error._tag === "ComputeFailed" ? { _tag: "Failed", message, stack } : undefined
}

const lineOf = ({
  fields,
  line,
  stream
}: Extract<WorkerEvent<GroupName>, { readonly _tag: "WorkerOutput" }>): TickLine => {
  const { level = stream, sense: _, ...rest } = fields ?? {}
  return { level: String(level), message: line, fields: rest }
}
