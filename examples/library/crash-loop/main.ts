/**
 * A command that crashes over and over: it is started again after growing delays, until the circuit
 * breaker opens; then one trial after the cooldown, which stays up and closes it. `node main.ts`
 */
import { CircuitBreaker, RespawnPolicy } from "@nerve/core"
import { NodeSpawner } from "@nerve/node"
import { CommandWorker, Supervisor } from "@nerve/runtime"
import { Effect, Stream } from "effect"

/** Crashes, a little differently each time, until its predecessor ended by exit code 3. */
const flaky = `
  case "$NERVE_PREV_EXIT" in
    "") exit 1 ;;
    1) exit 2 ;;
    2) exit 3 ;;
    *) exec sleep 60 ;;
  esac`

const program = Effect.gen(function* () {
  const supervisor = yield* Supervisor.make({
    respawn: RespawnPolicy.exponential({ initial: "20 millis", jitter: false }),
    breaker: CircuitBreaker.make({ max: 3, within: "10 seconds", cooldown: "300 millis", trial: "200 millis" }),
    children: [{ id: "flaky", worker: CommandWorker.make("/bin/sh", ["-c", flaky]) }]
  })
  yield* supervisor.start
  yield* supervisor.changes.pipe(
    Stream.map(({ breaker, children: [child] }) => `crashes ${child?.crashes}, ${child?.state}, breaker ${breaker}`),
    Stream.filter((line) => /Failed|Running/.test(line)),
    Stream.changes,
    Stream.takeUntil((line) => line === "crashes 3, Running, breaker closed"),
    Stream.runForEach((line) => Effect.sync(() => console.log(line)))
  )
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(NodeSpawner.layer())))
