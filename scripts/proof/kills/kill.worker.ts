import * as Worker from "@nerve/runtime/ipc/Worker"
import { Effect, Stream } from "effect"
import { closeSync } from "node:fs"
import { KillRpcs } from "./KillRpcs.ts"

export default Worker.serve(KillRpcs, {
  Job: ({ id, ms }) => Effect.as(Effect.sleep(ms), id),
  Count: ({ to }) => Stream.range(1, to),
  Exit: ({ code }) => Effect.sync(() => process.exit(code)),
  CloseChannel: () =>
    Effect.andThen(
      Effect.sync(() => closeSync(3)),
      Effect.never
    )
})
