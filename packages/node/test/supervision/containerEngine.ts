/**
 * A real container engine, if one is installed and runs a container here: with an image of a static busybox
 * that is made by hand, so that nothing is fetched.
 */
import { execFileSync, spawnSync } from "node:child_process"
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

export interface Engine {
  readonly engine: string
  readonly image: string
  readonly runArgs: ReadonlyArray<string>
  readonly engineEnv: Readonly<Record<string, string>>
  readonly remove: () => void
}

const image = "localhost/nerve-test-busybox"

/** Where the limits of processes may not be raised, a container must not try to. */
const modest = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]

/** The engine, or why there is none. */
export const findEngine = (): Engine | string => {
  const busybox = ["/bin/busybox", "/usr/bin/busybox"].find((file) => existsSync(file))
  if (busybox === undefined) return "no busybox is installed"
  const folder = mkdtempSync(join(tmpdir(), "nerve-image-"))
  const tar = imageOf(busybox, folder)
  const reasons: Array<string> = []
  for (const engine of ["podman", "docker"]) {
    const remove = () => {
      spawnSync(engine, ["rmi", "--force", image], { stdio: "ignore", timeout: 30_000 })
      rmSync(folder, { recursive: true })
    }
    try {
      execFileSync(engine, ["import", tar, image], { stdio: "pipe", timeout: 30_000 })
      return { engine, image, remove, ...waysToRun(engine, folder) }
    } catch (error) {
      reasons.push(`${engine}: ${lastLineOf(error)}`)
      spawnSync(engine, ["rmi", "--force", image], { stdio: "ignore", timeout: 30_000 })
    }
  }
  rmSync(folder, { recursive: true })
  return reasons.join("; ")
}

const imageOf = (busybox: string, folder: string): string => {
  const root = join(folder, "root")
  for (const name of ["bin", "proc", "sys", "dev", "tmp", "etc"]) mkdirSync(join(root, name), { recursive: true })
  copyFileSync(busybox, join(root, "bin", "busybox"))
  for (const name of ["sh", "sleep", "true"]) symlinkSync("busybox", join(root, "bin", name))
  const tar = join(folder, "image.tar")
  execFileSync("tar", ["-C", root, "-cf", tar, "."])
  return tar
}

/** The first way in which it runs a container. Fails when there is none. */
const waysToRun = (engine: string, folder: string): Pick<Engine, "runArgs" | "engineEnv"> => {
  const runc = join(folder, "containers.conf")
  writeFileSync(runc, `[engine]\nruntime = "runc"\n`)
  let failure: unknown
  for (const runArgs of [[], modest]) {
    for (const engineEnv of engine === "podman" ? [{}, { CONTAINERS_CONF: runc }] : [{}]) {
      const args = ["run", "--rm", "--init", "--network", "none", ...runArgs, image, "true"]
      try {
        execFileSync(engine, args, { stdio: "pipe", timeout: 30_000, env: { ...process.env, ...engineEnv } })
        return { runArgs, engineEnv }
      } catch (error) {
        failure = error
      }
    }
  }
  throw failure
}

const lastLineOf = (error: unknown): string => {
  const stderr = typeof error === "object" && error !== null && "stderr" in error ? String(error.stderr).trim() : ""
  return stderr === "" ? String(error) : (stderr.split("\n").at(-1) ?? "")
}
