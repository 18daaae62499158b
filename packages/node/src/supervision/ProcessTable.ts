/**
 * The processes of this machine, as far as this user may see them: from `/proc` on Linux, by `ps` elsewhere.
 * A pid alone names nobody, for pids are used again; a pid together with its start time does.
 */
import { execFile, execFileSync } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"

export interface Process {
  readonly pid: number
  /** Process group; that of a group's leader is its pid. */
  readonly group: number
  /** Changes when the pid is used again. Means something only within one boot of the machine. */
  readonly started: string
  /** Dead, and not reaped by its parent yet. */
  readonly zombie: boolean
  /** Short name of its program. */
  readonly name: string
}

const isLinux = process.platform === "linux"

const read = (file: string): string | undefined => {
  try {
    return readFileSync(file, "latin1")
  } catch {
    // Gone meanwhile, or another user's.
    return undefined
  }
}

/** `42 (a name with ) in it) S 1 42 42 …`: state, parent, group; the 20th from the state is the start in clock ticks. */
const parseStat = (text: string): Process | undefined => {
  const end = text.lastIndexOf(")")
  const fields = text.slice(end + 2).split(" ")
  const [state, , group] = fields
  const started = fields[19]
  const pid = Number.parseInt(text, 10)
  if (end === -1 || state === undefined || group === undefined || started === undefined || Number.isNaN(pid)) {
    return undefined
  }
  return {
    pid,
    group: Number(group),
    started,
    zombie: state === "Z" || state === "X",
    name: text.slice(text.indexOf("(") + 1, end)
  }
}

/** `  42    42 S    Mon Jan  1 00:00:00 2026 /bin/sh`. */
const parsePs = (line: string): Process | undefined => {
  const match = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(\S+\s+\S+\s+\d+\s+[\d:]+\s+\d+)\s+(.*)$/.exec(line)
  if (match === null) return undefined
  const [, pid, group, state = "", started = "", name = ""] = match
  return { pid: Number(pid), group: Number(group), started, zombie: state.startsWith("Z"), name }
}

const psFormat = ["-o", "pid=,pgid=,state=,lstart=,comm="]

/** In one language, or the start time of one process would have two names. */
const psOptions = { encoding: "utf8", env: { PATH: process.env.PATH, LC_ALL: "C" } } as const

const isProcess = (one: Process | undefined): one is Process => one !== undefined

/** All that live, zombies among them. */
export const all = (): ReadonlyArray<Process> => {
  if (!isLinux)
    return execFileSync("ps", ["-ax", ...psFormat], psOptions)
      .split("\n")
      .map(parsePs)
      .filter(isProcess)
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => find(Number(name)))
    .filter(isProcess)
}

/** On Linux: the process with this pid. */
const find = (pid: number): Process | undefined => {
  const text = read(`/proc/${pid}/stat`)
  return text === undefined ? undefined : parseStat(text)
}

/** Tells when a process was started; undefined when it is gone. At once on Linux, by a `ps` elsewhere. */
export const startedUnsafe = (pid: number, told: (started: string | undefined) => void): void => {
  if (isLinux) return told(find(pid)?.started)
  execFile("ps", [...psFormat, "-p", String(pid)], psOptions, (error, stdout) =>
    told(error === null ? parsePs(stdout.trimEnd())?.started : undefined)
  )
}

/**
 * Whether the process was started with this variable in its environment. On macOS that cannot be seen, and is false.
 */
export const hasVariable = (pid: number, name: string, value: string): boolean =>
  isLinux && `\0${read(`/proc/${pid}/environ`) ?? ""}`.includes(`\0${name}=${value}\0`)

/** Names this boot of the machine, where start times count from the boot. */
export const boot = (): string => (isLinux ? (read("/proc/sys/kernel/random/boot_id") ?? "").trim() : "")
