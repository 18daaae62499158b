import * as Worker from "@nerve/runtime/ipc/Worker"
import { Effect } from "effect"
import { HelloRpcs } from "./HelloRpcs.ts"

export default Worker.serve(HelloRpcs, {
  Greet: ({ name }) => (name === "" ? Effect.fail("greet whom?") : Effect.succeed(`hello ${name}`))
})
