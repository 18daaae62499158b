/** A worker that serves nothing: it is there until it is told to go. */
import * as Worker from "@nerve/runtime/ipc/Worker"
import { RpcGroup } from "effect/rpc"

export default Worker.serve(RpcGroup.make(), {})
