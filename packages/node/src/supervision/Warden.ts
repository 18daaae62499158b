/**
 * The wardens: tiny processes that outlive the daemon by a moment. The daemon tells them which process
 * groups live; when the daemon dies, however it dies, a warden's standard input ends and it kills
 * them all (L6). That reaches workers that cannot notice by themselves: stuck in a loop, stopped.
 *
 * There are two of them, each with a successor. A daemon that dies in the moment after one was killed, before it could
 * start the successor, has the other.
 *
 * On Linux a warden also kills every process that carries this daemon's marker in its environment, so
 * children in sessions of their own go as well. It is a POSIX shell script: 1.7 MB, no Node.
 */
import { format } from "@nerve/core/domain/WorkerExit"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as Clock from "effect/Clock"
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

/** Told who lives, the wardens themselves among them. */
export interface Roll {
  readonly add: (pid: number) => void
  readonly remove: (pid: number) => void
}

export interface Warden {
  /** Of the present ones: a warden that was killed has a successor. */
  readonly pids: () => ReadonlyArray<number>
  /** A process group lives. */
  readonly guardUnsafe: (pid: number) => void
  /** It is gone and reaped. */
  readonly releaseUnsafe: (pid: number) => void
}

/** How long the sweep at the end may take. */
const sweepBound = "5 seconds"

/**
 * One that was killed has a successor in a moment, for the other may be killed next; one that cannot live (no shell, no
 * process left to the user) is tried again more and more slowly, without end.
 */
const policy = RespawnPolicy.resetAfter("1 minute")(
  RespawnPolicy.exponential({ initial: 1, factor: 4, max: "1 minute", jitter: false })
)

/** Starts one. It throws for some faults, and gives a process without a pid for others. */
export const launch = (marker: string): ChildProcess =>
  spawn("/bin/sh", ["-c", script, "nerve-warden", marker], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
    // Not marked itself, or it would end itself first.
    env: { PATH: process.env.PATH ?? "/usr/bin:/bin" }
  })

/** Starts two wardens for the processes that carry `marker`; they go when the scope closes. */
export const make = (marker: string, roll?: Roll): Effect.Effect<Warden, never, Scope.Scope> =>
  Effect.map(Effect.all([makeOne(marker, roll), makeOne(marker, roll)]), (wardens): Warden => ({
    pids: () => wardens.flatMap((one) => one.pids()),
    guardUnsafe: (pid) => wardens.forEach((one) => one.guardUnsafe(pid)),
    releaseUnsafe: (pid) => wardens.forEach((one) => one.releaseUnsafe(pid))
  }))

/** Starts one, and the next when it is gone. `start` is how that is done, `launch` unless told. */
export const makeOne = Effect.fnUntraced(function* (
  marker: string,
  roll?: Roll,
  start: (marker: string) => ChildProcess = launch
): Effect.fn.Return<Warden, never, Scope.Scope> {
  const post = yield* Effect.acquireRelease(
    Effect.sync(() => new Post(roll)),
    // By now all workers are stopped and released; its input ends and it finds nothing to kill.
    (one) =>
      Effect.timeoutOption(
        Effect.callback<void>((resume) => one.close(() => resume(Effect.void))),
        sweepBound
      )
  )
  yield* Effect.forkScoped(
    succession(post, () => start(marker)),
    { startImmediately: true }
  )
  return {
    pids: () => (post.pid === undefined ? [] : [post.pid]),
    guardUnsafe: (pid) => post.guard(pid),
    releaseUnsafe: (pid) => post.release(pid)
  }
})

/** One warden after the other. Interrupted, it leaves the last one where it is. */
const succession = Effect.fnUntraced(function* (post: Post, start: () => ChildProcess): Effect.fn.Return<never> {
  const clock = yield* Clock.Clock
  const nowMs = () => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
  const decide = yield* RespawnPolicy.toDecide(policy)
  let told: string | undefined
  for (;;) {
    const since = nowMs()
    const why = yield* post.manned(start)
    // The same trouble once, not each minute.
    if (why !== told) yield* Effect.logWarning(`a warden of the workers of this process has to be replaced: ${why}`)
    told = why
    const decision = yield* decide(nowMs(), { exit: null, uptimeMs: nowMs() - since })
    yield* Effect.sleep(decision._tag === "Respawn" ? decision.delayMs : 0)
  }
})

/** The present warden, if there is one, and what its successor would have to know. */
class Post {
  readonly #roll: Roll | undefined
  readonly #pids = new Set<number>()
  #child: ChildProcess | undefined

  constructor(roll: Roll | undefined) {
    this.#roll = roll
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  guard(pid: number): void {
    this.#pids.add(pid)
    this.#roll?.add(pid)
    this.#child?.stdin?.write(`+ ${pid}\n`)
  }

  release(pid: number): void {
    this.#pids.delete(pid)
    this.#roll?.remove(pid)
    this.#child?.stdin?.write(`- ${pid}\n`)
  }

  close(done: () => void): void {
    const child = this.#child
    if (child === undefined) return done()
    child.ref()
    child.once("exit", done)
    child.stdin?.end()
  }

  /** Starts one, and waits until it is gone; gives why. */
  manned(start: () => ChildProcess): Effect.Effect<string> {
    return Effect.callback<string>((resume) => {
      const gone = (why: string) => resume(Effect.succeed(why))
      const child = this.#start(start)
      if (child instanceof Error) return gone(child.message)
      // A start that failed has no pid and says why in a moment. Any later error must find a listener, too.
      child.on("error", (error) => gone(error.message))
      child.stdin?.on("error", () => {})
      child.unref()
      const { pid } = child
      if (pid === undefined) return
      this.#child = child
      this.#roll?.add(pid)
      for (const one of this.#pids) child.stdin?.write(`+ ${one}\n`)
      child.once("exit", (code, signal) => {
        this.#child = undefined
        this.#roll?.remove(pid)
        gone(`it has ended (${format({ code, signal })})`)
      })
    })
  }

  #start(start: () => ChildProcess): ChildProcess | Error {
    try {
      return start()
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error))
    }
  }
}
