/**
 * `watch` over a store in memory, as a process of its own. A signal entry at the start, then nothing;
 * while it stops it logs `stopped`. Arguments: `--for MS`, `--json`, `--stop` (somebody stops it soon),
 * `--slow` (its stop takes for ever), `--chatty` (a signal every 20 ms; says on stderr that it stops).
 */
import { watch } from "@nerve/cli/dev/watch"
import { JsonFlag } from "@nerve/cli/flags/Global"
import { runMain } from "@nerve/cli/runMain"
import { LogStore } from "@nerve/runtime/log/LogStore"
import * as LogStoreMemory from "@nerve/runtime/log/LogStoreMemory"
import { Context, Effect, Layer, Option, Schedule } from "effect"

const args = process.argv.slice(2)
const flag = (name: string) => args.includes(name)
const forMs = Option.map(Option.fromUndefinedOr(flag("--for") ? args[args.indexOf("--for") + 1] : undefined), Number)

const open = Effect.gen(function* () {
  const log = Context.get(yield* Layer.build(LogStoreMemory.layer), LogStore)
  yield* log.append({ source: "kernel", type: "started", refId: null, payload: {} })
  yield* log.append({ source: "sense", type: "signal", refId: "cpu", payload: { usage: 0.5 } })
  yield* Effect.addFinalizer(() =>
    log
      .append({ source: "kernel", type: "stopped", refId: null, payload: {} })
      .pipe(Effect.orDie, Effect.andThen(flag("--slow") ? Effect.never : Effect.void))
  )
  if (flag("--chatty")) {
    yield* Effect.addFinalizer(() => Effect.sync(() => process.stderr.write("stops gracefully")))
    yield* log
      .append({ source: "sense", type: "signal", refId: "cpu", payload: { usage: 1 } })
      .pipe(Effect.repeat(Schedule.spaced("20 millis")), Effect.forkScoped)
  }
  return { log, stopRequested: flag("--stop") ? Effect.sleep("200 millis") : Effect.never }
})

runMain(watch(open, { forMs, headline: "headline" }).pipe(Effect.provideService(JsonFlag, flag("--json"))), {
  debug: false
})
