/** A worker that does as its first argument says, as soon as it is ready. */
import * as Worker from "@nerve/runtime/ipc/Worker"
import { RpcGroup } from "effect/rpc"

/** By then it has said that it is ready. */
const soon = (what: () => void) => setTimeout(what, 50)

switch (process.argv[3]) {
  case "fail":
    soon(() => process.exit(3))
    break
  case "finish":
    soon(() => process.exit(0))
    break
  case "report":
    console.log(`${process.env["NERVE_RESUME_ID"]} ${process.env["NERVE_PREV_EXIT"] ?? ""}`)
    if (process.env["NERVE_PREV_EXIT"] === undefined) soon(() => process.exit(3))
}

export default Worker.serve(RpcGroup.make(), {})
