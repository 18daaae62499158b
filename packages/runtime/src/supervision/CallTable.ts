/**
 * The calls of one key: those that wait to be sent, in order, and those in flight with the present
 * incarnation. Synchronous throughout, so that no fast path can overtake the queue (R4) and a reply
 * can only reach the call it belongs to (ids are never used twice).
 *
 * It decides nothing about processes. `ManagedWorker` attaches it to an incarnation when that is
 * ready, and detaches it before anything else when that incarnation is going.
 */
import type * as Frame from "@nerve/core/wire/Frame"
import { IdMap } from "../internal/idMap.ts"
import type { Channel } from "../ipc/Channel.ts"
import { MailboxFull, ProtocolViolation, type WorkerError } from "./WorkerError.ts"

/** One call on its way. Exactly one of `settle` and `fail` is called, once, unless it is withdrawn. */
export interface PendingCall {
  readonly method: string
  readonly payload: unknown
  readonly settle: (frame: Settlement) => void
  /** Items have come, in a frame of so many characters. */
  readonly chunk: (values: ReadonlyArray<unknown>, characters: number) => void
  readonly fail: (error: WorkerError) => void
  /** Set while in flight. */
  id: number | undefined
}

/** The frames that end a call. */
export type Settlement = Extract<Frame.FromWorker, { readonly t: "done" | "fail" | "die" | "interrupted" | "reject" }>

export class CallTable {
  readonly #key: string
  readonly #capacity: number
  /** Told when the table goes from idle to having work. */
  readonly #onDemand: () => void
  /** Told when nothing is in flight any more. */
  readonly #onIdle: () => void
  #nextId = 1
  #waiting: Array<PendingCall> = []
  readonly #inFlight = new IdMap<PendingCall>()
  /** To the incarnation that serves what is in flight. */
  #channel: Channel | undefined
  /** Whether new calls go to it. */
  #attached = false
  /** Set when calls are refused: given up, stopped. */
  #refusal: WorkerError | undefined

  constructor(options: {
    readonly key: string
    readonly capacity: number
    readonly onDemand: () => void
    readonly onIdle: () => void
  }) {
    this.#key = options.key
    this.#capacity = options.capacity
    this.#onDemand = options.onDemand
    this.#onIdle = options.onIdle
  }

  /** A table that takes no calls. */
  static refusing(key: string, error: WorkerError): CallTable {
    const table = new CallTable({ key, capacity: 0, onDemand: () => {}, onIdle: () => {} })
    table.refuse(error)
    return table
  }

  get waiting(): number {
    return this.#waiting.length
  }

  get inFlight(): number {
    return this.#inFlight.size
  }

  /** Whether calls go to an incarnation; else they wait for one. */
  get attached(): boolean {
    return this.#attached
  }

  /** Sends the call now if it may, else lets it wait its turn. */
  submit(call: PendingCall): void {
    if (this.#refusal !== undefined) return call.fail(this.#refusal)
    if (this.#waiting.length === 0 && this.#sendIfTaken(call)) return
    if (this.#waiting.length >= this.#capacity) {
      return call.fail(new MailboxFull({ key: this.#key, capacity: this.#capacity }))
    }
    this.#waiting.push(call)
    this.#onDemand()
  }

  /** The caller has gone: a waiting call is forgotten, one in flight is cancelled in the worker. */
  withdraw(call: PendingCall): void {
    if (call.id === undefined) {
      this.#waiting = this.#waiting.filter((other) => other !== call)
      return
    }
    if (!this.#inFlight.delete(call.id)) return
    this.#channel?.sendUnsafe({ t: "cancel", id: call.id })
    if (this.#inFlight.size === 0) this.#onIdle()
  }

  /** A stream's reader took chunks. */
  acknowledge(call: PendingCall, n: number): void {
    if (call.id !== undefined && this.#inFlight.has(call.id)) this.#channel?.sendUnsafe({ t: "ack", id: call.id, n })
  }

  /** From now on calls go to this channel; those that wait go first. */
  attach(channel: Channel): void {
    this.#channel = channel
    this.#attached = true
    this.flush()
  }

  /**
   * Sends waiting calls until the channel is full. One at a time off the queue: a call that fails here
   * resumes its caller at once, who may withdraw another one or make a new one.
   */
  flush(): void {
    for (;;) {
      const call = this.#waiting[0]
      if (call === undefined || !this.#mayTake()) return
      this.#waiting.shift()
      if (!this.#sendIfTaken(call)) return void this.#waiting.unshift(call)
    }
  }

  /** New calls wait from now on; those in flight may still be answered, cancelled and acknowledged. */
  detach(): void {
    this.#attached = false
  }

  /** The incarnation is gone: fails all that is in flight with it. */
  failInFlight(error: WorkerError): void {
    this.#attached = false
    this.#channel = undefined
    const calls = this.#inFlight.values()
    this.#inFlight.clear()
    for (const call of calls) call.fail(error)
    this.#onIdle()
  }

  failWaiting(error: WorkerError): void {
    const calls = this.#waiting
    this.#waiting = []
    for (const call of calls) call.fail(error)
  }

  /** Refuses new calls with this error; `undefined` takes them again. */
  refuse(error: WorkerError | undefined): void {
    this.#refusal = error
  }

  /** An answer has come. False when nobody asked for it. */
  settle(frame: Settlement): boolean {
    const call = this.#inFlight.get(frame.id)
    if (call === undefined) return false
    this.#inFlight.delete(frame.id)
    call.settle(frame)
    if (this.#inFlight.size === 0) this.#onIdle()
    return true
  }

  /** What came as the answer to a call is none. False when nobody asked. */
  violate(id: number, detail: string): boolean {
    const call = this.#inFlight.get(id)
    if (call === undefined) return false
    this.#inFlight.delete(id)
    call.fail(new ProtocolViolation({ key: this.#key, method: call.method, detail }))
    if (this.#inFlight.size === 0) this.#onIdle()
    return true
  }

  /** Items of a stream have come. False when nobody asked for them. */
  chunk(id: number, values: ReadonlyArray<unknown>, characters: number): boolean {
    const call = this.#inFlight.get(id)
    call?.chunk(values, characters)
    return call !== undefined
  }

  /** Whether an id was given out by this table: a late answer to a cancelled call is no violation. */
  wasAsked(id: number): boolean {
    return Number.isInteger(id) && id > 0 && id < this.#nextId
  }

  #mayTake(): boolean {
    return this.#attached && this.#channel !== undefined && !this.#channel.isFullUnsafe()
  }

  /** False when it has to wait: nothing is attached, the channel is full, or has just ended. */
  #sendIfTaken(call: PendingCall): boolean {
    const channel = this.#channel
    if (channel === undefined || !this.#mayTake()) return false
    const id = this.#nextId++
    call.id = id
    this.#inFlight.add(id, call)
    const result = channel.sendUnsafe(
      { t: "call", id, method: call.method, payload: call.payload },
      this.#inFlight.size === 1
    )
    if (result === "sent") return true
    this.#inFlight.delete(id)
    call.id = undefined
    if (result === "ended") {
      this.#attached = false
      return false
    }
    const about = { key: this.#key, method: call.method }
    call.fail(
      result === "too-large"
        ? new ProtocolViolation({ ...about, detail: "the payload is larger than a frame may be", tooLarge: true })
        : new ProtocolViolation({ ...about, detail: "the payload is no JSON" })
    )
    return true
  }
}
