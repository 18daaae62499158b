/** Finds the wardens among the children of a process. */
import { spawnSync } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"

const read = (file: string): string => {
  try {
    return readFileSync(file, "utf8")
  } catch {
    // It has ended meanwhile.
    return ""
  }
}

/** All processes: pid, parent's pid, command line. Slim Linux images have no `ps`, macOS has no `/proc`. */
const processes = (): ReadonlyArray<readonly [pid: number, parent: number, command: string]> =>
  process.platform === "linux"
    ? readdirSync("/proc")
        .filter((name) => /^\d+$/.test(name))
        .map((pid) => {
          const parent = /^PPid:\s+(\d+)$/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0
          return [Number(pid), Number(parent), read(`/proc/${pid}/cmdline`).replaceAll("\0", " ")] as const
        })
    : spawnSync("ps", ["-axo", "pid=,ppid=,command="], { encoding: "utf8" })
        .stdout.split("\n")
        .map((line) => {
          const [pid = "", parent = "", ...command] = line.trim().split(/\s+/)
          return [Number(pid), Number(parent), command.join(" ")] as const
        })

export const wardensOf = (pid: number): ReadonlyArray<number> =>
  processes().flatMap(([child, parent, command]) => (parent === pid && command.includes("nerve-warden") ? [child] : []))
