/** A worker that serves nothing, and by SIGUSR2 gets stuck in a loop. */
import * as Worker from "@nerve/runtime/ipc/Worker"
import { RpcGroup } from "effect/rpc"

process.on("SIGUSR2", () => {
  for (;;);
})

export default Worker.serve(RpcGroup.make(), {})
