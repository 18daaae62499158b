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
    )
})
