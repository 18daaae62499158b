/**
 * At most one daemon per workspace. The lock is an exclusive transaction on the SQLite file
 * `.nerve/daemon.lock`, held as long as the daemon lives: the system releases it at any death, so
 * there is no stale pid to judge. `.nerve/daemon.json` says who holds it; it only informs.
 *
 * Gotcha: nothing else in the daemon may open the lock file. Closing any descriptor of it would
 * release the process's POSIX lock.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type { Scope } from "effect/Scope"
import * as Fs from "node:fs"
import type { DatabaseSync } from "node:sqlite"
import * as Workspace from "./Workspace.ts"

/** Who runs in a workspace, as `.nerve/daemon.json` has it. */
export const DaemonInfo = Schema.Struct({
  pid: Schema.Int,
  /** Milliseconds since the Unix epoch. */
  startedAt: Schema.Int,
  version: Schema.String,
  /** Path of the control socket. */
  socket: Schema.String
})
export type DaemonInfo = typeof DaemonInfo.Type

/** Another daemon holds the lock. `pid` is null while it has not yet said who it is. */
export class DaemonAlreadyRunning extends Schema.TaggedError<DaemonAlreadyRunning>()("DaemonAlreadyRunning", {
  pid: Schema.NullOr(Schema.Int),
  workspace: Schema.String
}) {
  override get message(): string {
    return `a daemon already runs in ${this.workspace}${this.pid === null ? "" : ` (pid ${this.pid})`}`
  }
  get hint(): string {
    return `stop it with Ctrl-C in its terminal${this.pid === null ? "" : `, or with: kill ${this.pid}`}`
  }
}

/** The lock file cannot be used: no permission, a read-only or network disk, not a lock file. */
export class DaemonLockFailed extends Schema.TaggedError<DaemonLockFailed>()("DaemonLockFailed", {
  file: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `cannot lock ${this.file}: ${this.cause instanceof Error ? this.cause.message : String(this.cause)}`
  }
}

/** Proof that this process is the workspace's daemon: whoever needs that requires this service. */
export class DaemonLock extends Context.Service<
  DaemonLock,
  {
    readonly workspace: Workspace.Workspace
    readonly info: DaemonInfo
  }
>()("@nerve/node/daemon/DaemonLock") {}

const decodeInfo = Schema.decodeUnknownOption(Schema.fromJsonString(DaemonInfo))

/** What `.nerve/daemon.json` says; null when it is missing or damaged. It may be of a daemon that died. */
export const readInfo = (workspace: Workspace.Workspace): Effect.Effect<DaemonInfo | null> =>
  Effect.try({ try: () => Fs.readFileSync(workspace.daemonFile, "utf8"), catch: () => "unreadable" as const }).pipe(
    Effect.map((text) => Option.getOrNull(decodeInfo(text))),
    Effect.orElseSucceed(() => null)
  )

/** Written whole or not at all: a reader never sees half of it. */
const writeInfo = (workspace: Workspace.Workspace, info: DaemonInfo): Effect.Effect<void, DaemonLockFailed> =>
  Effect.try({
    try: () => {
      const temporary = `${workspace.daemonFile}.${info.pid}`
      Fs.writeFileSync(temporary, `${JSON.stringify(info)}\n`, { mode: 0o600 })
      Fs.renameSync(temporary, workspace.daemonFile)
    },
    catch: (cause) => new DaemonLockFailed({ file: workspace.daemonFile, cause })
  })

const sqliteBusy = 5

const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : ""

const isBusy = (cause: unknown): boolean =>
  typeof cause === "object" && cause !== null && "errcode" in cause && cause.errcode === sqliteBusy

const isAlive = (pid: number): Effect.Effect<boolean> =>
  Effect.try({ try: () => process.kill(pid, 0), catch: codeOf }).pipe(
    // It lives, as another user's.
    Effect.catch((code) => Effect.succeed(code === "EPERM"))
  )

/** The pid in `.nerve/daemon.json`, if that process lives; else null. */
export const holder = (workspace: Workspace.Workspace): Effect.Effect<number | null> =>
  Effect.gen(function* () {
    const info = yield* readInfo(workspace)
    return info !== null && (yield* isAlive(info.pid)) ? info.pid : null
  })

/** Who holds the lock. The holder writes its name right after it got the lock: wait for that a moment. */
const awaitHolder = (workspace: Workspace.Workspace): Effect.Effect<number | null> =>
  holder(workspace).pipe(
    Effect.flatMap((pid) => (pid === null ? Effect.fail("not said yet" as const) : Effect.succeed(pid))),
    Effect.retry({ schedule: Schedule.spaced("20 millis"), times: 10 }),
    Effect.orElseSucceed(() => null)
  )

const open = (workspace: Workspace.Workspace): Effect.Effect<DatabaseSync, DaemonLockFailed> =>
  Effect.tryPromise({
    // Loaded when needed: Node 22 prints a warning when it loads `node:sqlite`.
    try: () => import("node:sqlite").then((sqlite) => new sqlite.DatabaseSync(workspace.lockFile, { timeout: 0 })),
    catch: (cause) => new DaemonLockFailed({ file: workspace.lockFile, cause })
  })

const begin = (
  workspace: Workspace.Workspace,
  database: DatabaseSync
): Effect.Effect<void, DaemonAlreadyRunning | DaemonLockFailed> =>
  Effect.try({
    try: () => database.exec("BEGIN EXCLUSIVE"),
    catch: (cause) => new DaemonLockFailed({ file: workspace.lockFile, cause })
  }).pipe(
    Effect.catchIf(
      (error) => isBusy(error.cause),
      () =>
        Effect.flatMap(awaitHolder(workspace), (pid) =>
          Effect.fail(new DaemonAlreadyRunning({ pid, workspace: workspace.root }))
        )
    )
  )

/** Takes the lock for the life of the scope, or fails at once when another daemon has it. */
export const acquire = Effect.fn("DaemonLock.acquire")(function* (
  workspace: Workspace.Workspace,
  options: { readonly version: string }
): Effect.fn.Return<DaemonLock["Service"], DaemonAlreadyRunning | DaemonLockFailed | Workspace.RunDirUnusable, Scope> {
  yield* Workspace.prepareRunDir(workspace)
  const database = yield* Effect.acquireRelease(open(workspace), (database) => Effect.sync(() => database.close()))
  yield* begin(workspace, database)
  yield* Effect.acquireRelease(Workspace.prepareSocketDir(workspace), () => Workspace.removeSocketDir(workspace))
  const info: DaemonInfo = {
    pid: process.pid,
    startedAt: yield* Clock.currentTimeMillis,
    version: options.version,
    socket: workspace.socket
  }
  // Released before the lock is: whoever comes next must not have its own file removed.
  yield* Effect.acquireRelease(writeInfo(workspace, info), () =>
    Effect.sync(() => Fs.rmSync(workspace.daemonFile, { force: true }))
  )
  return { workspace, info }
})

/** `DaemonLock` for the life of the layer. */
export const layer = (
  workspace: Workspace.Workspace,
  options: { readonly version: string }
): Layer.Layer<DaemonLock, DaemonAlreadyRunning | DaemonLockFailed | Workspace.RunDirUnusable> =>
  Layer.effect(DaemonLock, acquire(workspace, options))
