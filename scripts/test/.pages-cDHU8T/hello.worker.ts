import * as Worker from "@nerve/runtime/ipc/Worker"
import { Effect } from "effect"
import { HelloRpcs, NoName } from "./HelloRpcs.ts"

const program = Effect.gen(function* () {
  const { key } = yield* Worker.WorkerPort
  // What is acquired here is released when the worker is asked to stop.
  yield* Effect.acquireRelease(Effect.logInfo("open"), () => Effect.logInfo("closed"))
  return yield* Worker.serve(HelloRpcs, {
    Greet: ({ name }) => (name === "" ? Effect.fail(new NoName()) : Effect.succeed(`hello ${name}, says ${key}`))
  })
})

// So the compiler says when a handler requires a service that nobody provides.
export default program satisfies Worker.Program
