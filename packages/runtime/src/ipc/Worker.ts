/**
 * The worker's side: what code in a worker calls to serve requests. In a real process the port is a
 * pipe on fd 3, in tests a pair of queues.
 *
 * One fiber runs per request, none when a handler's Effect is done already. A request that its Schema
 * refuses is answered and harms nothing; a handler that dies answers with its defect.
 */
import * as Frame from "@nerve/core/wire/Frame"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Logger from "effect/Logger"
import type * as Rpc from "effect/rpc/Rpc"
import type * as RpcGroup from "effect/rpc/RpcGroup"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { IdMap } from "../internal/idMap.ts"
import * as rpcCodec from "../internal/rpcCodec.ts"
import type { Channel } from "./Channel.ts"

/** The worker's end of the line, provided by whatever started it. */
export class WorkerPort extends Context.Service<
  WorkerPort,
  {
    readonly channel: Channel
    readonly key: string
    readonly incarnation: number
    /** Sent by the parent before anything else: `init` of the WorkerSpec, null if none. */
    readonly init: Schema.Json
    /** What it tells of itself when it is asked whether it still works. */
    readonly vitals?: () => Frame.Vitals
  }
>()("@nerve/runtime/ipc/Worker/WorkerPort") {}

/**
 * What a worker's module exports: it may require the port, and a scope that closes when it ends. A module that says so
 * (`export default program satisfies Worker.Program`) is told by the compiler of a service that nobody provides.
 */
export type Program = Effect.Effect<unknown, unknown, WorkerPort | Scope.Scope>

/** The handlers of a group: one function per RPC, giving an Effect, or a Stream where it streams. */
export type Handlers<Rpcs extends Rpc.Any> = {
  readonly [Current in Rpcs as Current["_tag"]]: (
    payload: Rpc.Payload<Current>
  ) => Rpc.Success<Current> extends Stream.Stream<infer A, infer E, infer _R>
    ? // What a handler requires is read off it by `Requirements`; here anything goes.
      // oxlint-disable-next-line typescript/no-explicit-any
      Stream.Stream<A, E | Rpc.Error<Current>, any>
    : // oxlint-disable-next-line typescript/no-explicit-any
      Effect.Effect<Rpc.Success<Current>, Rpc.Error<Current>, any>
}

/** The services that handlers require. */
export type Requirements<H> = {
  // Whatever a handler takes: parameters are contravariant, and this asks only for the result.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly [Method in keyof H]: H[Method] extends (...payload: any) => infer Result
    ? Result extends Effect.Effect<infer _A, infer _E, infer R>
      ? R
      : Result extends Stream.Stream<infer _A, infer _E, infer R>
        ? R
        : never
    : never
}[keyof H]

/** `init` of the WorkerSpec, decoded; a defect that says what is wrong if it does not fit. */
export const init = <A>(schema: Schema.Codec<A, unknown>): Effect.Effect<A, never, WorkerPort> =>
  Effect.gen(function* () {
    const port = yield* WorkerPort
    const decoded = Schema.decodeEffect(Schema.toCodecJson(schema))(port.init)
    return yield* Effect.catch(decoded, ({ message }) => {
      const why = message.replaceAll(/\n\s*/g, " ")
      return Effect.die(new Error(`the init of worker ${port.key} does not fit its Schema: ${why}`))
    })
  })

/** What text is cut to when the whole of it does not fit into a frame. */
const maxText = 8192

const cut = (text: string): string => (text.length > maxText ? `${text.slice(0, maxText)}…` : text)

/** Anything as text; also what JSON has no form for. */
const textOf = (value: unknown): string => {
  if (typeof value === "string") return value
  try {
    return JSON.stringify(value) ?? String(value)
  } catch {
    return typeof value === "object" ? "an object that is no JSON" : String(value)
  }
}

/** What was logged as one text: `Effect.log("low on", { paper: 3 })` is `low on {"paper":3}`. */
const messageOf = (message: unknown): string =>
  Array.isArray(message) ? message.map(textOf).join(" ") : textOf(message)

/** Characters of JSON that the properties of a defect may take; what is beyond is left out. */
const maxProperties = 16_384

/** Causes of causes that are told. */
const maxCauses = 8

/** Of an error's own properties those that JSON has a form for, until they are too many. */
const propertiesOf = (error: Error): Pick<Frame.DefectFrame, "properties"> => {
  const properties: Record<string, unknown> = {}
  let left = maxProperties
  for (const name of Object.keys(error)) {
    if (name === "name" || name === "message" || name === "stack" || name === "cause") continue
    try {
      const value: unknown = Reflect.get(error, name)
      const text = JSON.stringify(value)
      if (text === undefined || text.length + name.length > left) continue
      left -= text.length + name.length
      Object.defineProperty(properties, name, { value, enumerable: true })
    } catch {
      // A getter that throws, a cycle, a bigint: no property that could be told.
    }
  }
  return Object.keys(properties).length === 0 ? {} : { properties }
}

/** The name that an error goes by: its own, or that of its class. */
const nameOf = (error: Error): string => {
  const { name } = error
  if (name !== "Error") return textOf(name)
  const { constructor } = error
  return typeof constructor === "function" && constructor.name !== "" ? constructor.name : name
}

/** Users' errors may carry anything as their name or message. */
const defectFrame = (defect: unknown, depth = 0): Frame.DefectFrame =>
  defect instanceof Error
    ? {
        name: nameOf(defect),
        message: textOf(defect.message),
        stack: typeof defect.stack === "string" ? defect.stack : null,
        ...propertiesOf(defect),
        ...(depth < maxCauses && defect.cause instanceof Error ? { cause: defectFrame(defect.cause, depth + 1) } : {})
      }
    : { name: "Error", message: textOf(defect), stack: null }

/** The frames that end a call. */
type Answer = Extract<Frame.FromWorker, { readonly t: "done" | "fail" | "die" | "interrupted" | "reject" }>

/** Sends an answer; one that cannot be sent is replaced by one that says so, for every call must be answered. */
const reply = (channel: Channel, method: string, answer: Answer, alone = false): void => {
  const sent = channel.sendUnsafe(answer, alone)
  if (sent === "sent" || sent === "ended") return
  const why = sent === "too-large" ? "is larger than a frame may be" : "is no JSON"
  channel.sendUnsafe(instead(cut(method), why, answer))
}

const instead = (method: string, why: string, answer: Answer): Answer => {
  const die = (message: string): Answer => ({ t: "die", id: answer.id, defect: defectFrame(message) })
  switch (answer.t) {
    case "die":
      return {
        ...answer,
        defect: { name: cut(answer.defect.name), message: cut(answer.defect.message), stack: null }
      }
    case "reject":
      return { ...answer, detail: cut(answer.detail) }
    case "fail":
      return die(`the error of ${method} ${why}`)
    default:
      return die(`the answer to ${method} ${why}`)
  }
}

const stackOf = (error: unknown): { readonly stack?: string } =>
  error instanceof Error && typeof error.stack === "string" ? { stack: cut(error.stack) } : {}

/** The frame that answers a call whose handler ended with a failure. */
const failureFrame = (codec: rpcCodec.RpcCodec, id: number, cause: Cause.Cause<unknown>): Answer => {
  const fail = cause.reasons.find(Cause.isFailReason)
  if (fail !== undefined) {
    const encoded = codec.encodeError(fail.error)
    return Exit.isSuccess(encoded)
      ? { t: "fail", id, error: encoded.value, ...stackOf(fail.error) }
      : { t: "die", id, defect: defectFrame(fail.error) }
  }
  const die = cause.reasons.find(Cause.isDieReason)
  return die === undefined ? { t: "interrupted", id } : { t: "die", id, defect: defectFrame(die.defect) }
}

/**
 * Serves the handlers on the port until the parent asks to stop or the channel ends; then interrupts
 * what runs, answers it as interrupted, and returns. Says `ready`, with `info`, when it starts.
 */
export const serve = Effect.fnUntraced(function* <Rpcs extends Rpc.Any, const H extends Handlers<Rpcs>>(
  group: RpcGroup.RpcGroup<Rpcs>,
  handlers: H,
  options: { readonly info?: Schema.Json } = {}
): Effect.fn.Return<void, never, WorkerPort | Requirements<H>> {
  type R = Requirements<H>
  const { channel, vitals } = yield* WorkerPort
  const context = yield* Effect.context<R>()
  const runFork = Effect.runForkWith(context)
  const codecs = rpcCodec.ofGroup(group)
  // By name from here on: `Handlers` has tied each name to its types.
  const byMethod: ReadonlyMap<string, (payload: unknown) => unknown> = new Map(Object.entries(handlers as object))
  const running = new IdMap<Fiber.Fiber<unknown, unknown>>()
  const windows = new Map<number, StreamWindow>()
  const stopped = Latch.makeUnsafe(false)

  const answer = (codec: rpcCodec.RpcCodec, id: number, exit: Exit.Exit<unknown, unknown>) => {
    running.delete(id)
    if (Exit.isFailure(exit)) {
      return reply(channel, codec.method, failureFrame(codec, id, exit.cause))
    }
    const encoded = codec.streaming ? Exit.succeed(null) : codec.encodeSuccess(exit.value)
    reply(
      channel,
      codec.method,
      Exit.isSuccess(encoded)
        ? { t: "done", id, value: encoded.value }
        : {
            t: "die",
            id,
            defect: defectFrame(`the answer does not fit its Schema: ${rpcCodec.detail(encoded.cause)}`)
          },
      running.size === 0
    )
  }

  const call = (id: number, method: string, payload: unknown) => {
    const codec = codecs.get(method)
    const handler = byMethod.get(method)
    if (codec === undefined || handler === undefined) {
      return reply(channel, method, { t: "reject", id, detail: `this worker has no method ${JSON.stringify(method)}` })
    }
    if (running.has(id)) {
      channel.sendUnsafe({ t: "log", level: "Error", message: `call ${id} is running already; ignored`, fields: {} })
      return
    }
    const decoded = codec.decodePayload(payload)
    if (Exit.isFailure(decoded)) {
      return reply(channel, method, {
        t: "reject",
        id,
        detail: `payload of ${method}: ${rpcCodec.detail(decoded.cause)}`
      })
    }
    const effect = start(handler, decoded.value, codec, id)
    if (Exit.isExit(effect)) return answer(codec, id, effect)
    const fiber = runFork(effect)
    running.add(id, fiber)
    fiber.addObserver((exit) => answer(codec, id, exit))
  }

  const start = (
    handler: (payload: unknown) => unknown,
    payload: unknown,
    codec: rpcCodec.RpcCodec,
    id: number
  ): Effect.Effect<unknown, unknown, R> => {
    try {
      const result = handler(payload)
      // The mapped type of `Handlers` says which of the two it is; the loop over methods forgets it.
      return codec.streaming
        ? runStream(channel, windows, codec, id, result as Stream.Stream<unknown, unknown, R>)
        : (result as Effect.Effect<unknown, unknown, R>)
    } catch (defect) {
      // A handler is a user's function: it may throw before it gives an Effect.
      return Exit.die(defect)
    }
  }

  channel.onFrameUnsafe((raw) => {
    const frame = Frame.toWorker(raw)
    if (typeof frame === "string") {
      channel.sendUnsafe({ t: "log", level: "Error", message: frame, fields: {} })
      return
    }
    switch (frame.t) {
      case "call":
        return call(frame.id, frame.method, frame.payload)
      case "cancel":
        return running.get(frame.id)?.interruptUnsafe()
      case "ack":
        return windows.get(frame.id)?.grant(frame.n)
      case "stop":
        return stopped.openUnsafe()
      case "ping":
        return void channel.sendUnsafe({ t: "pong", n: frame.n, ...vitals?.() })
      case "init":
        return
    }
  })
  channel.onEndUnsafe(() => stopped.openUnsafe())
  channel.sendUnsafe({ t: "ready", v: Frame.protocolVersion, info: options.info ?? null, ping: true })
  yield* stopped.await
  yield* Fiber.interruptAll(running.values())
})

/**
 * Characters of a stream that may be on their way, in one chunk or more: what waits for a slow reader lies in the
 * parent's memory. Streams are no faster with a mebibyte.
 */
const charactersAhead = 256 * 1024

/** How much of a stream may still be sent before the reader must ask for more. */
interface StreamWindow {
  readonly grant: (n: number) => void
  /** A chunk of so many characters was sent: waits until the next one may be. */
  readonly take: (characters: number) => Effect.Effect<void>
}

const makeWindow = (): StreamWindow => {
  let credit = Frame.streamWindow
  let ahead = 0
  const sizes: Array<number> = []
  const open = Latch.makeUnsafe(true)
  const isOpen = () => credit > 0 && ahead < charactersAhead
  return {
    grant: (n) => {
      credit += n
      for (const size of sizes.splice(0, n)) ahead -= size
      if (isOpen()) open.openUnsafe()
    },
    take: (characters) =>
      Effect.suspend(() => {
        credit -= 1
        ahead += characters
        sizes.push(characters)
        if (!isOpen()) open.closeUnsafe()
        return open.await
      })
  }
}

const runStream = <R>(
  channel: Channel,
  windows: Map<number, StreamWindow>,
  codec: rpcCodec.RpcCodec,
  id: number,
  stream: Stream.Stream<unknown, unknown, R>
): Effect.Effect<void, unknown, R> =>
  Effect.suspend(() => {
    const window = makeWindow()
    windows.set(id, window)
    // Other than an answer, a stream has no end to be seen: it also waits for a pipe that is full.
    const next = (characters: number) => {
      const taken = window.take(characters)
      return channel.isFullUnsafe() ? Effect.andThen(taken, channel.drained) : taken
    }
    const sentSoFar = () => channel.sentUnsafe?.() ?? 0
    const sendChunk = (values: ReadonlyArray<unknown>): Effect.Effect<void> => {
      const before = sentSoFar()
      switch (channel.sendUnsafe({ t: "chunk", id, values })) {
        case "sent":
        case "ended":
          return next(sentSoFar() - before)
        case "not-json":
          return Effect.die(`an item of ${codec.method} is no JSON`)
        case "too-large": {
          if (values.length === 1) return Effect.die(`an item of ${codec.method} is larger than a frame may be`)
          const half = values.length >> 1
          return Effect.andThen(
            sendChunk(values.slice(0, half)),
            Effect.suspend(() => sendChunk(values.slice(half)))
          )
        }
      }
    }
    return Stream.runForEachArray(stream, (items) => {
      const values: Array<unknown> = []
      for (const item of items) {
        const encoded = codec.encodeSuccess(item)
        if (Exit.isFailure(encoded))
          return Effect.die(`an item does not fit its Schema: ${rpcCodec.detail(encoded.cause)}`)
        values.push(encoded.value)
      }
      return sendChunk(values)
    }).pipe(Effect.ensuring(Effect.sync(() => windows.delete(id))))
  })

/** Log lines that may wait for a pipe that is full; what comes then is counted, and the count is told. */
const logsAhead = 1000

/** A log line as a frame holds it. */
export type LogLine = Omit<Extract<Frame.FromWorker, { readonly t: "log" }>, "t">

/**
 * Sends log lines to the parent, each at once: what a worker says last is heard, also when it then hangs or dies.
 * While the pipe is full only so many lines wait in memory; those left out are counted.
 */
export const logSender = (channel: Channel): ((line: LogLine) => void) => {
  let ahead = 0
  let leftOut = 0
  const mayWait = (): boolean => {
    if (!channel.isFullUnsafe()) ahead = 0
    else if (ahead >= logsAhead) return false
    else ahead += 1
    return true
  }
  return (line) => {
    if (!mayWait()) {
      leftOut += 1
      return
    }
    if (leftOut > 0) {
      const message = `${leftOut} log lines were left out: more than could be sent`
      leftOut = 0
      channel.sendUnsafe({ t: "log", level: "WARN", message, fields: {} })
    }
    const sent = channel.sendUnsafe({ t: "log", ...line })
    if (sent === "too-large" || sent === "not-json") {
      const names = Object.keys(line.fields).join(" ")
      channel.sendUnsafe({ t: "log", level: line.level, message: cut(line.message), fields: { leftOut: names } })
    }
    channel.flushUnsafe()
  }
}

/** A Logger whose lines go to the parent, where each becomes a log line that carries the worker's key. */
export const logger = (channel: Channel): Logger.Logger<unknown, void> => {
  const send = logSender(channel)
  return Logger.map(Logger.formatStructured, ({ annotations, cause, level, message }) =>
    send({ level, message: messageOf(message), fields: { ...annotations, ...(cause === undefined ? {} : { cause }) } })
  )
}
