/**
 * A `Channel` over a stream socket, or over a pair of streams: one JSON value per line, capped, the frames
 * of one tick in one write, long ones each by itself. Both sides use it: the daemon over its end of the worker's
 * fd 3 (or stdin and stdout), the worker over fd 3.
 *
 * This is the hot path of every call. It is written with callbacks and plain JSON for that reason
 * (docs/adr/0002). Frames are checked by their reader, not here.
 */
import * as Depth from "@nerve/core/wire/Depth"
import * as Frame from "@nerve/core/wire/Frame"
import * as LongLog from "@nerve/core/wire/LongLog"
import type { Channel, ChannelEnd, Receive, SendResult } from "@nerve/runtime/ipc/Channel"
import * as Effect from "effect/Effect"
import type { Socket } from "node:net"
import type { Readable, Writable } from "node:stream"
import * as LineWriter from "./LineWriter.ts"
import * as Reading from "./Reading.ts"

const newline = 0x0a

const nothing = Buffer.allocUnsafeSlow(0)

/** Characters that a tick gathers at most. A frame that is longer is written by itself, at once. */
const gathered = 16 * 1024

/** The frame as text; undefined when it is no JSON. */
const write = (frame: unknown): string | undefined => {
  try {
    return JSON.stringify(frame)
  } catch {
    return undefined
  }
}

export interface Options {
  /** Bytes of a frame at most, both ways; `Frame.maxLength` unless told. */
  readonly maxLength?: number
  /** Where frames come from, for messages: ` on stdout`. */
  readonly where?: string
}

/** When nothing can be sent any more: what a pipe may still hold of what the other side wrote before. */
const pipeHolds = 1024 * 1024

class PipeChannel implements Channel, Reading.Reader {
  readonly #input: Readable
  readonly #reading: Reading.TurnsReading
  readonly #output: Writable
  readonly #maxLength: number
  readonly #where: string
  #receive: Receive | undefined
  #listener: ((end: ChannelEnd) => void) | undefined
  #ended: ChannelEnd | undefined
  /** The other side reads no more: what it wrote before that is read to the end. */
  #isReadingOut = false
  #isPaused = false
  #whenResumed: (() => void) | undefined
  /** Bytes that have come. */
  #taken = 0
  /** Frames of this tick, not yet written. */
  #outgoing = ""
  /** What was written and is not done: the pipe has not taken it whole, or its callback is yet to come. */
  readonly #writing: Array<string | Buffer> = []
  #sent = 0
  #flushScheduled = false
  /**
   * The last chunk brought one frame, and nothing was written at once since: with one call at a time, what follows is
   * best written at once. With many, writing each for itself would cost more than the calls themselves.
   */
  #cameAlone = false
  #full = false
  #drainWaiters: Array<() => void> = []
  /**
   * The beginning of a frame whose end has not come yet, in one buffer that doubles: a list of what came would take
   * hundreds of bytes for each one that a peer sends by itself.
   */
  #partial = nothing
  #partialLength = 0
  /** Bytes of a log frame that is too long that were not kept. */
  #leftOut = 0
  /** What the last chunk has completed and was not handed on yet: the frame that began before it, */
  #first: string | undefined
  /** and those that came whole with it, one a line, up to where they were handed on. */
  #text = ""
  #from = 0
  #followsFirst = false
  /** Frames that came before there was a receiver. */
  #early: Array<unknown> = []

  constructor(input: Readable, output: Writable, options: Options) {
    this.#input = input
    this.#output = output
    this.#maxLength = options.maxLength ?? Frame.maxLength
    this.#where = options.where ?? ""
    this.#reading = Reading.readUnsafe(input, this)
    output.on("drain", () => this.#onDrain())
    // The other side is gone (EPIPE, ECONNRESET): an end like any other. Without a listener it would throw.
    output.on("error", () => {
      // A socket is gone as a whole.
      if (input.destroyed) this.#end({ _tag: "Closed" })
      else this.#readOut()
    })
  }

  readonly drained = Effect.callback<void>((resume) => {
    if (!this.#full || this.#ended !== undefined) return resume(Effect.void)
    this.#drainWaiters.push(() => resume(Effect.void))
  })

  readonly sentUnsafe = (): number => this.#sent

  readonly isFullUnsafe = (): boolean => this.#full

  readonly sendUnsafe = (frame: unknown, alone = false): SendResult => {
    if (this.#ended !== undefined || this.#isReadingOut) return "ended"
    const text = write(frame)
    if (text === undefined) return "not-json"
    // A character is at most three bytes: count exactly only where it could matter.
    if (text.length * 3 > this.#maxLength && Buffer.byteLength(text) > this.#maxLength) return "too-large"
    this.#sent += text.length
    if (text.length >= gathered) this.#writeLong(text)
    else this.#gather(text, alone)
    return "sent"
  }

  readonly flushUnsafe = (): void => this.#flush()

  #gather(text: string, alone: boolean): void {
    this.#outgoing += `${text}\n`
    if (this.#outgoing.length >= gathered || (alone && this.#cameAlone && !this.#flushScheduled)) {
      this.#cameAlone = false
      this.#flush()
    } else if (!this.#flushScheduled) {
      this.#flushScheduled = true
      setImmediate(this.#flush)
    }
  }

  readonly #flush = (): void => {
    this.#flushScheduled = false
    const text = this.#outgoing
    if (text === "" || this.#output.destroyed) return
    this.#outgoing = ""
    this.#writing.push(text)
    if (!this.#output.write(text, this.#onWritten)) this.#full = true
  }

  readonly #onWritten = (): void => void this.#writing.shift()

  /** By itself: to gather long frames would only hold up whoever waits for them, and keep all of them in memory. */
  #writeLong(text: string): void {
    this.#flush()
    this.#cameAlone = false
    if (!this.#output.destroyed && !LineWriter.writeLine(this.#output, text, this.#writing)) this.#full = true
  }

  readonly unsentUnsafe = ({ untaken, waiting }: Backlog): Buffer => {
    if (this.#ended !== undefined) return nothing
    const all = this.#writing.map((chunk) => Buffer.from(chunk))
    const handedOver = Buffer.concat(all.slice(0, all.length - waiting))
    return Buffer.concat([
      handedOver.subarray(Math.max(0, handedOver.length - untaken)),
      ...all.slice(all.length - waiting),
      Buffer.from(this.#outgoing)
    ])
  }

  readonly onFrameUnsafe = (receive: Receive): void => {
    this.#receive = receive
    const early = this.#early
    this.#early = []
    for (const frame of early) receive(frame)
  }

  readonly onEndUnsafe = (listener: (end: ChannelEnd) => void): void => {
    this.#listener = listener
    if (this.#ended !== undefined) listener(this.#ended)
  }

  readonly pauseUnsafe = (): void => {
    this.#isPaused = true
    this.#reading.pauseUnsafe()
  }

  readonly resumeUnsafe = (): void => {
    this.#isPaused = false
    this.#reading.resumeUnsafe()
    if (this.#whenResumed !== undefined) setImmediate(this.#whenResumed)
    this.#whenResumed = undefined
  }

  readonly closeUnsafe = (): void => {
    this.#flush()
    this.#output.end()
  }

  /**
   * Who reads no more has often exited, and what it wrote before says why: it is read until two turns of the loop have
   * brought nothing. Who goes on writing is not heard for ever.
   */
  #readOut(): void {
    if (this.#ended !== undefined || this.#isReadingOut) return
    this.#isReadingOut = true
    this.#outgoing = ""
    this.#onDrain()
    const most = this.#taken + pipeHolds
    let [taken, quiet] = [this.#taken, 0]
    const look = () => {
      if (this.#ended !== undefined) return
      if (this.#isPaused) return void (this.#whenResumed = look)
      quiet = this.#taken === taken && this.#reading.isIdleUnsafe() ? quiet + 1 : 0
      taken = this.#taken
      if (quiet === 2 || taken > most) this.#end({ _tag: "Closed" })
      else setImmediate(look)
    }
    setImmediate(look)
  }

  #onDrain(): void {
    this.#full = false
    const waiters = this.#drainWaiters
    this.#drainWaiters = []
    for (const waiter of waiters) waiter()
  }

  #end(end: ChannelEnd): void {
    if (this.#ended !== undefined) return
    this.#ended = end
    this.#forget()
    this.#outgoing = ""
    this.#onDrain()
    this.#listener?.(end)
    if (end._tag === "Closed") return
    this.#input.destroy()
    this.#output.destroy()
  }

  take(chunk: Buffer<ArrayBuffer>): void {
    if (this.#ended !== undefined) return
    this.#taken += chunk.length
    this.#followsFirst = false
    const rest = this.#partialLength === 0 ? chunk : this.#takeFirst(chunk)
    const last = rest.lastIndexOf(newline)
    if (last !== -1) this.#text = rest.toString("utf8", 0, last)
    // Of large frames that come one after the other each uses the buffer of the one before; a peer at rest holds none.
    if (last + 1 < rest.length) this.#keep(rest.subarray(last + 1))
    else if (this.#partialLength === 0) this.#forget()
  }

  next(): boolean {
    if (this.#ended !== undefined) return false
    const first = this.#first
    if (first !== undefined) {
      this.#first = undefined
      this.#cameAlone = this.#text === ""
      this.#parse(first)
      return true
    }
    // Not split at once: of a chunk that is all line ends there would be an array of 65 536 empty texts.
    const text = this.#text
    let from = this.#from
    while (text.charCodeAt(from) === newline) from += 1
    if (from >= text.length) {
      this.#text = ""
      this.#from = 0
      return false
    }
    const end = text.indexOf("\n", from)
    this.#cameAlone = from === 0 && end === -1 && !this.#followsFirst
    this.#from = end === -1 ? text.length : end + 1
    this.#parse(text.slice(from, end === -1 ? text.length : end))
    return true
  }

  end(): void {
    this.#end({ _tag: "Closed" })
  }

  /** The end of what began earlier; gives what follows it. */
  #takeFirst(chunk: Buffer<ArrayBuffer>): Buffer<ArrayBuffer> {
    const end = chunk.indexOf(newline)
    if (end === -1) return chunk
    this.#keep(chunk.subarray(0, end))
    if (this.#ended !== undefined) return nothing
    this.#followsFirst = true
    this.#first =
      this.#leftOut === 0
        ? this.#partial.toString("utf8", 0, this.#partialLength)
        : JSON.stringify(LongLog.ofHead(this.#headOfLog(), this.#leftOut))
    this.#partialLength = 0
    this.#leftOut = 0
    return chunk.subarray(end + 1)
  }

  #keep(bytes: Buffer): void {
    if (this.#leftOut > 0) {
      this.#leftOut += bytes.length
    } else {
      const before = this.#partialLength
      this.#append(bytes)
      if (before <= LongLog.maxLength && this.#partialLength > LongLog.maxLength) this.#cutLog()
    }
    if (this.#partialLength + this.#leftOut > this.#maxLength) {
      this.#end({ _tag: "Broken", message: `a frame${this.#where} of more than ${this.#maxLength} bytes` })
    }
  }

  /** Of a log frame that is too long only the head is kept. */
  #cutLog(): void {
    if (!LongLog.isLog(this.#partial.toString("latin1", 0, LongLog.tellable))) return
    this.#leftOut = this.#partialLength - LongLog.maxLength
    this.#partialLength = LongLog.maxLength
  }

  /** Not cut through a character. */
  #headOfLog(): string {
    let end = this.#partialLength
    while (((this.#partial[end - 1] ?? 0) & 0xc0) === 0x80) end -= 1
    if ((this.#partial[end - 1] ?? 0) >= 0xc0) end -= 1
    return this.#partial.toString("utf8", 0, end)
  }

  #forget(): void {
    Reading.free(this.#partial)
    this.#partial = nothing
    this.#partialLength = 0
  }

  #append(bytes: Buffer): void {
    const length = this.#partialLength + bytes.length
    if (length > this.#partial.length) {
      // No larger than a frame may be: what is beyond that ends the channel.
      const larger = Buffer.allocUnsafeSlow(Math.max(length, Math.min(2 * this.#partial.length, this.#maxLength)))
      this.#partial.copy(larger, 0, 0, this.#partialLength)
      Reading.free(this.#partial)
      this.#partial = larger
    }
    bytes.copy(this.#partial, this.#partialLength)
    this.#partialLength = length
  }

  #parse(line: string): void {
    if (line.length > Depth.looked && Depth.isTooDeep(line)) {
      return this.#end({ _tag: "Broken", message: `a frame${this.#where} of more than ${Depth.maxDepth} levels` })
    }
    let frame: unknown
    try {
      frame = JSON.parse(line)
    } catch {
      return this.#end({ _tag: "Broken", message: `a line${this.#where} that is not JSON: ${Frame.excerpt(line)}` })
    }
    if (this.#receive === undefined) this.#early.push(frame)
    else this.#receive(frame, line.length)
  }
}

/** What a socket was given and the system has not taken. */
export interface Backlog {
  /** Bytes at the end of those that were handed over. */
  readonly untaken: number
  /** Writes after these, that were not handed over. */
  readonly waiting: number
}

export interface SocketChannel extends Channel {
  /** Bytes that were sent and have not left. */
  readonly unsentUnsafe: (backlog: Backlog) => Buffer
}

/** A channel over a connected socket, which it owns from now on. */
export const makeUnsafe = (socket: Socket, options: Options = {}): SocketChannel =>
  new PipeChannel(socket, socket, options)

/** A channel that reads from one stream and writes to another; it owns both from now on. */
export const ofStreamsUnsafe = (input: Readable, output: Writable, options: Options = {}): Channel =>
  new PipeChannel(input, output, options)
