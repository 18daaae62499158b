/**
 * What a worker's answer to a call means to its caller: decoded, or a typed error that says why not.
 */
import type * as Frame from "@nerve/core/wire/Frame"
import * as Exit from "effect/Exit"
import type { Settlement } from "../supervision/CallTable.ts"
import { ProtocolViolation, WorkerStopped } from "../supervision/WorkerError.ts"
import * as rpcCodec from "./rpcCodec.ts"

/** Classes of errors that both sides have. Others arrive as an `Error` of their name. */
const classes: ReadonlyMap<string, new (message: string) => Error> = new Map(
  [TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError].map((one) => [one.name, one])
)

/** A defect that crossed the process: an Error again, with the stack, the properties and the cause it had there. */
const revive = (defect: Frame.DefectFrame): Error => {
  const error = new (classes.get(defect.name) ?? Error)(defect.message)
  const set = (name: string, value: unknown, enumerable: boolean) =>
    Object.defineProperty(error, name, { value, enumerable, configurable: true, writable: true })
  for (const [name, value] of Object.entries(defect.properties ?? {})) set(name, value, true)
  if (error.name !== defect.name) set("name", defect.name, false)
  set("message", defect.message, false)
  if (defect.stack !== null) set("stack", defect.stack, false)
  if (defect.cause !== undefined) set("cause", revive(defect.cause), false)
  return error
}

/** A typed error, with the stack that it had where it was made. */
const withStack = (error: unknown, stack: unknown): unknown => {
  if (typeof stack === "string" && error instanceof Error) {
    Object.defineProperty(error, "stack", { value: stack, enumerable: false, configurable: true, writable: true })
  }
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
        ? Exit.fail(withStack(decoded.value, frame.stack))
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
