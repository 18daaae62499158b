import * as Worker from "@nerve/runtime/ipc/Worker"
import { Effect } from "effect"
import { SlowRpcs } from "./SlowRpcs.ts"

export default Worker.serve(SlowRpcs, {
  Work: ({ ms }) => Effect.sleep(ms).pipe(Effect.as(`done by incarnation ${process.env["NERVE_INCARNATION"]}`))
})
