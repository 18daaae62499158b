import * as Worker from "@nerve/runtime/ipc/Worker"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { EchoRpcs } from "./EchoRpcs.ts"

const item = { text: "x".repeat(70) }

export default Worker.serve(EchoRpcs, {
  Echo: (payload) => Effect.succeed(payload),
  Records: (payload) => Effect.succeed(payload),
  Opaque: (payload) => Effect.succeed(payload),
  Items: ({ count }) => Stream.map(Stream.range(1, count), () => item)
})
