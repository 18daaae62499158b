/**
 * What the roles tell each other, as Schemas of their meta; and how the system's texts become that.
 */
import * as Schema from "effect/Schema"

/** One line of `ps`: shares of one core and of the memory, in percent. */
export const Process = Schema.Struct({
  pid: Schema.Int,
  cpu: Schema.Finite,
  memory: Schema.Finite,
  command: Schema.String
})
export type Process = typeof Process.Type

/** The file system that holds the workspace; sizes in bytes. */
export const Disk = Schema.Struct({
  mount: Schema.String,
  total: Schema.Finite,
  available: Schema.Finite,
  /** Percent in use, as `df` tells it. */
  used: Schema.Finite
})
export type Disk = typeof Disk.Type

/** What the collector found. What a command could not tell is left out, and listed under `problems`. */
export const Findings = Schema.Struct({
  /** The busiest first. */
  processes: Schema.Array(Process),
  disk: Schema.NullOr(Disk),
  problems: Schema.Array(Schema.String)
})
export type Findings = typeof Findings.Type

/** What the analyst makes of it. */
export const Verdict = Schema.Struct({
  severity: Schema.Literals(["calm", "busy", "critical"]),
  /** One or two sentences. */
  summary: Schema.String,
  /** What a person should do; empty for nothing. */
  advice: Schema.String
})
export type Verdict = typeof Verdict.Type

/**
 * The program of a command line, without its folder. The arguments are left out: they may hold secrets,
 * and what is found goes into the log, and to the analyst's endpoint if there is one.
 */
const programOf = (commandLine: string): string => {
  const [word = ""] = commandLine.split(" ")
  return word.startsWith("[") ? word : word.slice(word.lastIndexOf("/") + 1)
}

/** `ps -eo pid=,pcpu=,pmem=,args=`; the busiest `limit` processes, `ps` itself left out. */
export const parseProcesses = (text: string, limit: number): ReadonlyArray<Process> =>
  text
    .split("\n")
    .flatMap((line) => {
      const [, pid, cpu, memory, args] = /^\s*(\d+)\s+([\d.]+)\s+([\d.]+)\s+(.+)$/.exec(line) ?? []
      return pid === undefined || args === undefined
        ? []
        : [{ pid: Number(pid), cpu: Number(cpu), memory: Number(memory), command: programOf(args) }]
    })
    .filter((process) => process.command !== "ps")
    .toSorted((left, right) => right.cpu - left.cpu || right.memory - left.memory)
    .slice(0, limit)

/** `df -kP PATH`: the one line below the heading. The device's name may contain blanks, the mount too. */
export const parseDisk = (text: string): Disk | null => {
  const line = text.trim().split("\n").at(-1) ?? ""
  const [, total, available, used, mount] = /\s(\d+)\s+\d+\s+(\d+)\s+(\d+)%\s+(.+)$/.exec(line) ?? []
  return total === undefined || mount === undefined
    ? null
    : { mount, total: Number(total) * 1024, available: Number(available) * 1024, used: Number(used) }
}
