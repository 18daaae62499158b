/**
 * What a worker's answer to a call means to its caller: decoded, or a typed error that says why not.
 */
import type * as Frame from "@nerve/core/wire/Frame"
import * as Exit from "effect/Exit"
import type { Settlement } from "../supervision/CallTable.ts"
import { ProtocolViolation, WorkerStopped } from "../supervision/WorkerError.ts"
import * as rpcCodec from "./rpcCodec.ts"

/** A defect that crossed the process: an Error again, with the stack it had there. */
const revive = (defect: Frame.DefectFrame): Error => {
  const error = new Error(defect.message)
  error.name = defect.name
  if (defect.stack !== null) error.stack = defect.stack
  return error
}

/** The end of a call to the worker `key`, from the frame that answered it. */
export const toExit = (key: string, codec: rpcCodec.RpcCodec, frame: Settlement): Exit.Exit<unknown, unknown> => {
  const violation = (text: string) => Exit.fail(new ProtocolViolation({ key, method: codec.method, detail: text }))
  switch (frame.t) {
    case "done": {
      if (codec.streaming) return Exit.void
      const decoded = codec.decodeSuccess(frame.value)
      return Exit.isSuccess(decoded)
        ? decoded
        : violation(`the answer does not fit its Schema: ${rpcCodec.detail(decoded.cause)}`)
    }
    case "fail": {
      const decoded = codec.decodeError(frame.error)
      return Exit.isSuccess(decoded)
        ? Exit.fail(decoded.value)
        : violation(`the error does not fit its Schema: ${rpcCodec.detail(decoded.cause)}`)
    }
    case "die":
      return Exit.die(revive(frame.defect))
    case "interrupted":
      return Exit.fail(new WorkerStopped({ key }))
    case "reject":
      return violation(`the worker refused the call: ${frame.detail}`)
  }
}
