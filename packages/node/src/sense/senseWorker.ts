/**
 * What a sense worker process runs: only assembly. Which senses it is for comes from the parent, by
 * `init`; the port is provided by the entry that starts it.
 *
 * An exception that user code lets loose outside its compute (in a timer, in a promise that nobody
 * awaits) is not caught: Node writes it to stderr and the process ends, which is the supervisor's
 * business (R5, R11).
 */
import { SenseRpcs, SenseWorkerInit, SenseWorkerReady } from "@nerve/core/wire/SenseRpcs"
import * as Worker from "@nerve/runtime/ipc/Worker"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import * as SenseConsole from "./SenseConsole.ts"
import * as SenseHost from "./SenseHost.ts"

const encodeReady = Schema.encodeSync(Schema.toCodecJson(SenseWorkerReady))

/** Boots the senses of a group, says ready, and serves SenseRpcs until the parent stops it or is gone. */
export const main: Effect.Effect<void, never, Worker.WorkerPort> = Effect.gen(function* () {
  const { channel } = yield* Worker.WorkerPort
  const init = yield* Worker.init(SenseWorkerInit)
  SenseConsole.install()
  const serve = Effect.gen(function* () {
    const { handlers, ready } = yield* SenseHost.make(init, {
      log: Worker.logSender(channel)
    })
    yield* Worker.serve(SenseRpcs, handlers, { info: encodeReady(ready) })
  })
  yield* Effect.provide(serve, Logger.layer([Worker.logger(channel)]))
}).pipe(Effect.scoped)
