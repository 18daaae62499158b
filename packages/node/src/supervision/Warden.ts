/**
 * The warden: a tiny process that outlives the daemon by a moment. The daemon tells it which process
 * groups live; when the daemon dies, however it dies, the warden's standard input ends and it kills
 * them all (L6). That reaches workers that cannot notice by themselves: stuck in a loop, stopped.
 *
 * On Linux it also kills every process that carries this daemon's marker in its environment, so
 * children in sessions of their own go as well. It is a POSIX shell script: 1.7 MB, no Node.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn } from "node:child_process"

/** Environment variable that marks all processes that descend from one daemon. */
export const markerVariable = "NERVE_DAEMON_ID"

/**
 * Ignores signals meant for the daemon's terminal; `$1` is the marker. It looks again until it finds nobody: a process
 * may have started another one between being found and being killed.
 */
const script = `
trap '' INT TERM HUP
pids=' '
while read -r op pid; do
  case $op in
    +) pids="$pids$pid " ;;
    -) case $pids in *" $pid "*) pids="\${pids%% $pid *} \${pids#* $pid }" ;; esac ;;
  esac
done
for pid in $pids; do kill -s KILL -- "-$pid" 2>/dev/null; done
[ -d /proc/self ] || exit 0
for again in 1 2 3 4 5 6 7 8 9 10; do
  files=$(grep -lsz "^${markerVariable}=$1\\$" /proc/[0-9]*/environ 2>/dev/null)
  [ -n "$files" ] || break
  for file in $files; do
    pid=\${file#/proc/}; pid=\${pid%/environ}
    [ "$pid" = "$$" ] || kill -s KILL "$pid" 2>/dev/null
  done
done
`

/** Told who lives, the warden itself among them. */
export interface Roll {
  readonly add: (pid: number) => void
  readonly remove: (pid: number) => void
}

export interface Warden {
  /** Of the present one: a warden that was killed has a successor. */
  readonly pid: () => number | undefined
  /** A process group lives. */
  readonly guardUnsafe: (pid: number) => void
  /** It is gone and reaped. */
  readonly releaseUnsafe: (pid: number) => void
}

/** A warden that was killed is replaced; one that cannot live at all is not tried for ever. */
const replacements = 5

/** How long the sweep at the end may take. */
const sweepBound = "5 seconds"

const launch = (marker: string): ChildProcess => {
  const child = spawn("/bin/sh", ["-c", script, "nerve-warden", marker], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
    // Not marked itself, or it would end itself first.
    env: { PATH: process.env.PATH ?? "/usr/bin:/bin" }
  })
  // Without a shell there is no warden; workers still leave when their pipe ends.
  child.on("error", () => {})
  child.stdin?.on("error", () => {})
  child.unref()
  return child
}

/** Starts a warden for the processes that carry `marker`; it goes when the scope closes. */
export const make = (marker: string, roll?: Roll): Effect.Effect<Warden, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new Post(marker, roll)),
      // By now all workers are stopped and released; its input ends and it finds nothing to kill.
      (post) =>
        Effect.timeoutOption(
          Effect.callback<void>((resume) => post.close(() => resume(Effect.void))),
          sweepBound
        )
    ),
    (post) => ({
      pid: () => post.pid,
      guardUnsafe: (pid) => post.guard(pid),
      releaseUnsafe: (pid) => post.release(pid)
    })
  )

/** The present warden, and what its successor would have to know. */
class Post {
  readonly #marker: string
  readonly #roll: Roll | undefined
  readonly #pids = new Set<number>()
  #replacements = replacements
  #closing = false
  #child: ChildProcess

  constructor(marker: string, roll: Roll | undefined) {
    this.#marker = marker
    this.#roll = roll
    this.#child = this.#launch()
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  guard(pid: number): void {
    this.#pids.add(pid)
    this.#roll?.add(pid)
    this.#child.stdin?.write(`+ ${pid}\n`)
  }

  release(pid: number): void {
    this.#pids.delete(pid)
    this.#roll?.remove(pid)
    this.#child.stdin?.write(`- ${pid}\n`)
  }

  close(done: () => void): void {
    this.#closing = true
    const child = this.#child
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return done()
    child.ref()
    child.once("exit", done)
    child.stdin?.end()
  }

  #launch(): ChildProcess {
    const child = launch(this.#marker)
    const { pid } = child
    if (pid !== undefined) this.#roll?.add(pid)
    child.once("exit", () => {
      if (pid !== undefined) this.#roll?.remove(pid)
      if (this.#closing || this.#replacements === 0) return
      this.#replacements -= 1
      this.#child = this.#launch()
      for (const pid of this.#pids) this.#child.stdin?.write(`+ ${pid}\n`)
    })
    return child
  }
}
