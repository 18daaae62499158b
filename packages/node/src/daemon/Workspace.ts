/**
 * Where things are in a workspace: a folder with a `nerve.yaml`. It names paths and finds the
 * workspace of a folder; it creates only the private folders that the daemon's socket and lock need.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"

/** No `nerve.yaml` in the folder or above it. */
export class WorkspaceNotFound extends Schema.TaggedError<WorkspaceNotFound>()("WorkspaceNotFound", {
  start: Schema.String
}) {
  override get message(): string {
    return `no nerve.yaml in ${this.start} or in any folder above it`
  }
  get hint(): string {
    return "change to a nerve workspace, or name one with --workspace DIR (-C DIR)"
  }
}

/** The folder for the socket and the lock could not be made, or somebody else owns it. */
export class RunDirUnusable extends Schema.TaggedError<RunDirUnusable>()("RunDirUnusable", {
  directory: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `cannot use ${this.directory} for the daemon's socket and lock: ${this.detail}`
  }
}

/** The paths of one workspace, all absolute. */
export interface Workspace {
  readonly root: string
  readonly configFile: string
  readonly sensesDir: string
  readonly workflowsDir: string
  readonly dataDir: string
  /** Database of a sense. */
  readonly senseDatabase: (sense: string) => string
  /** Database of the log store. */
  readonly logFile: string
  readonly reportsDir: string
  /** `.nerve`: what belongs to a running daemon. Readable by its owner only. */
  readonly runDir: string
  readonly lockFile: string
  /** Who runs here; see `DaemonLock`. */
  readonly daemonFile: string
  /** Which processes the daemon has started; see `Leftovers`. */
  readonly processesFile: string
  /** The control socket: in `runDir`, or in a folder of its own when that path would be too long. */
  readonly socket: string
}

/**
 * Bytes that the path of a Unix socket may have: `sun_path` holds 104 on macOS and 108 on Linux, one
 * of them is the closing zero.
 */
const maxSocketPath = 103

const fits = (path: string): boolean => Buffer.byteLength(path) <= maxSocketPath

/** Deterministic, so that two daemons of one workspace meet at one socket. */
const socketPath = (root: string, runDir: string): string => {
  const own = Path.join(runDir, "control.sock")
  if (fits(own)) return own
  const digest = createHash("sha256").update(root).digest("hex").slice(0, 16)
  const folder = `nerve-${process.getuid?.() ?? 0}-${digest}`
  const temporary = Path.join(Os.tmpdir(), folder, "control.sock")
  return fits(temporary) ? temporary : Path.join("/tmp", folder, "control.sock")
}

/** The paths of the workspace at `root`, which must be absolute. Touches nothing. */
export const make = (root: string): Workspace => {
  const dataDir = Path.join(root, "data")
  const runDir = Path.join(root, ".nerve")
  return {
    root,
    configFile: Path.join(root, "nerve.yaml"),
    sensesDir: Path.join(root, "senses"),
    workflowsDir: Path.join(root, "workflows"),
    dataDir,
    senseDatabase: (sense) => Path.join(dataDir, "senses", `${sense}.db`),
    logFile: Path.join(dataDir, "nerve.db"),
    reportsDir: Path.join(dataDir, "reports"),
    runDir,
    lockFile: Path.join(runDir, "daemon.lock"),
    daemonFile: Path.join(runDir, "daemon.json"),
    processesFile: Path.join(runDir, "processes.json"),
    socket: socketPath(root, runDir)
  }
}

/** Real path where there is one, so that a workspace reached by a symbolic link is the same workspace. */
const canonical = (folder: string): string => (Fs.existsSync(folder) ? Fs.realpathSync(folder) : Path.resolve(folder))

const rootOf = (folder: string): string | undefined => {
  if (Fs.existsSync(Path.join(folder, "nerve.yaml"))) return folder
  const parent = Path.dirname(folder)
  return parent === folder ? undefined : rootOf(parent)
}

/** The workspace of a folder: the nearest one upwards that has a `nerve.yaml`. */
export const find = (start: string): Effect.Effect<Workspace, WorkspaceNotFound> =>
  Effect.suspend(() => {
    const folder = canonical(start)
    const root = rootOf(folder)
    return root === undefined ? Effect.fail(new WorkspaceNotFound({ start: folder })) : Effect.succeed(make(root))
  })

/** Makes a folder that only its owner can enter, or refuses the one that is there. */
const makePrivate = (directory: string): Effect.Effect<void, RunDirUnusable> =>
  Effect.try({
    try: () => {
      Fs.mkdirSync(directory, { recursive: true, mode: 0o700 })
      const stat = Fs.lstatSync(directory)
      // In a shared temp folder somebody else could have put it there first, or a link in its place.
      if (!stat.isDirectory()) throw new Error("it is not a folder")
      if (process.getuid !== undefined && stat.uid !== process.getuid()) throw new Error("another user owns it")
      if ((stat.mode & 0o077) !== 0) Fs.chmodSync(directory, 0o700)
    },
    catch: (error) => new RunDirUnusable({ directory, detail: error instanceof Error ? error.message : String(error) })
  })

/** Bytes that the path of a database may have: 512 are SQLite's limit, and `-journal` must fit in. */
const maxDatabasePath = 504

/** Bytes that a workspace's path may have, so that the database of a sense with the longest name fits. */
export const maxRoot = maxDatabasePath - Path.join("/", "data", "senses", `${"x".repeat(64)}.db`).length

/** SQLite would say of a path that is too long only that it cannot open the file. */
const checkLength = ({ root, runDir }: Workspace): Effect.Effect<void, RunDirUnusable> => {
  const length = Buffer.byteLength(root)
  if (length <= maxRoot) return Effect.void
  const detail = `the workspace's path has ${length} bytes; SQLite's limit leaves ${maxRoot}`
  return Effect.fail(new RunDirUnusable({ directory: runDir, detail }))
}

/** Makes the private folder of what belongs to a running daemon. */
export const prepareRunDir = (workspace: Workspace): Effect.Effect<void, RunDirUnusable> =>
  Effect.andThen(checkLength(workspace), makePrivate(workspace.runDir))

/** Makes the private folder of the socket; only for whoever holds the lock. */
export const prepareSocketDir = ({ socket }: Workspace): Effect.Effect<void, RunDirUnusable> =>
  makePrivate(Path.dirname(socket))

/** Takes the socket's folder away again, unless it is the run folder or holds something; as above. */
export const removeSocketDir = ({ runDir, socket }: Workspace): Effect.Effect<void> =>
  Path.dirname(socket) === runDir ? Effect.void : Effect.ignore(Effect.try(() => Fs.rmdirSync(Path.dirname(socket))))
