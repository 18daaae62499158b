/** Does what it is asked to, beside the hostile ones. */
import * as Worker from "@nerve/runtime/ipc/Worker"
import { Effect, Stream } from "effect"
import { HostileRpcs } from "./HostileRpcs.ts"

export default Worker.serve(HostileRpcs, {
  Echo: ({ text }) => Effect.succeed(text),
  Count: ({ to }) => Stream.range(1, to)
})
