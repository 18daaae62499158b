import * as Worker from "@nerve/runtime/ipc/Worker"
import { Effect } from "effect"
import { url } from "node:inspector"
import { PitfallRpcs } from "./PitfallRpcs.ts"

export default Worker.serve(PitfallRpcs, {
  // Node starts an inspector from a thread of its own: give it time that it could use.
  InspectorUrl: () =>
    Effect.andThen(
      Effect.sleep("500 millis"),
      Effect.sync(() => url() ?? null)
    ),
  AnswerAndExit: ({ later, length }) =>
    // So that the answer is not the only one that waits for the pipe.
    Effect.log("l".repeat(length)).pipe(
      Effect.andThen(Effect.log("m".repeat(length))),
      Effect.andThen(
        Effect.sync(() => {
          const exit = () => process.exit(0)
          if (later) setImmediate(() => setImmediate(exit))
          else queueMicrotask(exit)
          return "ü".repeat(length)
        })
      )
    )
})
