import * as Worker from "@nerve/runtime/ipc/Worker"
import { Effect } from "effect"
import { EchoRpcs } from "./EchoRpcs.ts"

export default Worker.serve(EchoRpcs, { Echo: ({ text }) => Effect.succeed(`${text} from process ${process.pid}`) })
