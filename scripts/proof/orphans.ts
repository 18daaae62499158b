/**
 * Orphans: workers in every state, with every kind of child, and their daemon killed with `kill -9`. The wardens do their
 * work; or one of the two was killed first (the daemon stopped meanwhile, so that it could not start another one), and
 * the other does it; or both were, and the next start has to find what is left.
 *
 * All processes of a round work below one folder, and are found by that. It takes Linux's /proc.
 */
import { Effect, Schedule } from "effect"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, relative } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { type Case, cases, sizeOf } from "./orphans/OrphanRpcs.ts"
import { type Figures, type Proof, quantile, type Settings } from "./Proof.ts"

const program = fileURLToPath(new URL("./orphans/daemon.ts", import.meta.url))

/** A living process below the folder. */
interface Living {
  readonly pid: number
  /** `busy-session`; empty for the daemon and its wardens. */
  readonly one: string
  readonly command: string
}

const read = (file: string): string => {
  try {
    return readFileSync(file, "utf8")
  } catch {
    return ""
  }
}

const workFolder = (pid: string): string => {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return ""
  }
}

/** Zombies have no working folder, and are none of these. */
const livingIn = (folder: string): ReadonlyArray<Living> =>
  readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return []
    const at = workFolder(name)
    if (at !== folder && !at.startsWith(`${folder}/`)) return []
    const command = read(`/proc/${name}/cmdline`).replaceAll("\0", " ").trim()
    return [{ pid: Number(name), one: relative(folder, at), command }]
  })

const nameOf = ({ command, one, pid }: Living): string => `${one || "daemon"}: ${pid} ${command.slice(0, 60)}`

const signal = (pid: number, name: NodeJS.Signals): void => {
  try {
    process.kill(pid, name)
  } catch {
    // Gone already.
  }
}

/** Looks until it is so; there is no event for the death of a process that is not one's child. */
const until = (what: string, is: () => boolean, told: () => unknown = () => ""): Effect.Effect<void> =>
  Effect.sync(is).pipe(
    Effect.repeat({ until: (so: boolean) => so, schedule: Schedule.spaced("10 millis") }),
    Effect.asVoid,
    Effect.timeoutOrElse({
      duration: "1 minute",
      orElse: () => Effect.die(new Error(`a minute without: ${what} ${told()}`))
    })
  )

const start = (folder: string, ...args: ReadonlyArray<string>): ChildProcess =>
  spawn(process.execPath, ["--no-warnings", program, ...args], { cwd: folder, stdio: ["ignore", "pipe", "inherit"] })

const said = (child: ChildProcess, line: string): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const { stdout } = child
    if (stdout === null) throw new Error("it was spawned with a pipe")
    createInterface({ input: stdout }).on("line", (text) => text === line && resume(Effect.void))
    child.once("exit", (code) => resume(Effect.die(new Error(`it ended with ${code} before it said ${line}`))))
  })

/** A folder of its own; whatever still lives in it at the end is killed. */
const workspace = Effect.acquireRelease(
  Effect.sync(() => realpathSync(mkdtempSync(join(tmpdir(), "nerve-orphans-")))),
  (folder) =>
    Effect.sync(() => livingIn(folder).forEach(({ pid }) => signal(pid, "SIGKILL"))).pipe(
      Effect.andThen(until("the end of all", () => livingIn(folder).length === 0)),
      Effect.andThen(Effect.sync(() => rmSync(folder, { recursive: true, force: true })))
    )
)

export interface Round {
  /** From the kill until nobody lived, or until the bound. */
  readonly goneMs: number
  /** Who lived when the bound was over: `busy-session: 4711 sleep 1000`. */
  readonly survivors: ReadonlyArray<string>
  /** How long the next start took to end them; null where there was nobody. */
  readonly sweptMs: number | null
  /** Who lived even then. */
  readonly left: ReadonlyArray<string>
}

/**
 * One daemon with a worker in each case, killed. Who lives is looked at when nobody does, but those that are `except`ed,
 * and after `boundMs` at the latest.
 */
export const round = (options: {
  readonly cases: ReadonlyArray<Case>
  /** How many of the two are killed before the daemon. */
  readonly wardensFirst: 0 | 1 | 2
  readonly boundMs: number
  readonly except?: (survivor: string) => boolean
}): Effect.Effect<Round> =>
  Effect.scoped(
    Effect.gen(function* () {
      const folder = yield* workspace
      const daemon = start(folder, ...options.cases)
      yield* said(daemon, "up")
      const folderOf = (one: string) => one.replace("/", "-")
      const lacking = () => {
        const living = livingIn(folder)
        return options.cases.filter((one) => living.filter((it) => it.one === folderOf(one)).length !== sizeOf(one))
      }
      yield* until("as many processes as there are to be of each case", () => lacking().length === 0, lacking)
      if (options.wardensFirst > 0) {
        daemon.kill("SIGSTOP")
        const wardens = livingIn(folder).filter(({ command }) => command.includes("nerve-warden"))
        for (const { pid } of wardens.slice(0, options.wardensFirst)) signal(pid, "SIGKILL")
      }
      const killed = performance.now()
      daemon.kill("SIGKILL")
      yield* Effect.timeoutOption(
        Effect.repeat(
          Effect.sync(() => livingIn(folder).filter((one) => options.except?.(nameOf(one)) !== true).length),
          { until: (count: number) => count === 0, schedule: Schedule.spaced("10 millis") }
        ),
        options.boundMs
      )
      const goneMs = performance.now() - killed
      const survivors = livingIn(folder).map(nameOf)
      if (survivors.length === 0) return { goneMs, survivors, sweptMs: null, left: [] }
      const swept = performance.now()
      const sweeper = spawnSync(process.execPath, ["--no-warnings", program, "sweep"], {
        cwd: folder,
        encoding: "utf8"
      })
      const sweptMs = performance.now() - swept
      if (sweeper.status !== 0) throw new Error(`the sweep failed: ${sweeper.stderr}`)
      return { goneMs, survivors, sweptMs, left: livingIn(folder).map(nameOf) }
    })
  )

/** Cases by name, without pids, each once. */
export const casesOf = (survivors: ReadonlyArray<string>): ReadonlyArray<string> =>
  [...new Set(survivors.map((one) => one.replace(/: \d+ .*?(\S*)$/, ""))).values()].sort()

/** In these states a worker cannot notice the end of its pipe. */
const deaf = ["busy", "stopped", "spawnSync"]

/** With both wardens gone as well: whoever cannot notice anything, and who has left its worker's process group. */
export const isExcused = (survivor: string): boolean =>
  deaf.some((state) => survivor.startsWith(`${state}-`)) || /-(?:session|doubleFork): .*sleep 1000$/.test(survivor)

const run = Effect.fnUntraced(function* ({ say, times }: Settings): Effect.fn.Return<Figures> {
  const guarded: Array<Round> = []
  const without: Array<Round> = []
  for (let n = 1; n <= times; n++) {
    const first = yield* round({ cases, wardensFirst: 0, boundMs: 2000 })
    const second = yield* round({ cases, wardensFirst: 1, boundMs: 2000 })
    guarded.push(first, second)
    const third = yield* round({ cases, wardensFirst: 2, boundMs: 2000 })
    without.push(third)
    say(
      `round ${n}: gone after ${Math.round(first.goneMs)} ms, with one warden killed first ` +
        `${Math.round(second.goneMs)} ms; with both ${third.survivors.length} lived on, ` +
        `swept in ${Math.round(third.sweptMs ?? 0)} ms`
    )
  }
  const survivors = guarded.flatMap((one) => one.survivors)
  const unexcused = without.flatMap((one) => one.survivors).filter((one) => !isExcused(one))
  const left = [...guarded, ...without].flatMap((one) => one.left)
  return {
    ok: survivors.length === 0 && unexcused.length === 0 && left.length === 0,
    cases: cases.length,
    kills: 3 * times,
    goneMs: {
      p50: quantile(
        guarded.map((one) => one.goneMs),
        0.5
      ),
      max: Math.max(...guarded.map((one) => one.goneMs))
    },
    survivorsAt2s: survivors,
    bothWardensFirst: {
      aliveAt2s: casesOf(without.flatMap((one) => one.survivors)),
      unexpected: unexcused,
      sweepMs: { max: Math.max(...without.map((one) => one.sweptMs ?? 0)) },
      leftAfterSweep: left
    }
  }
})

export const orphans: Proof = {
  what: "kill -9 of a daemon, and of one or both of its wardens first, with workers in every state and children of every kind",
  unit: "rounds of three kills each",
  times: 20,
  run
}
