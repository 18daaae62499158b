/**
 * Two channels joined back to back, in memory. Frames cross as JSON, as they would on a pipe, each in
 * a microtask of its own, so that no sender is called back from within its own send.
 */
import * as Frame from "@nerve/core/wire/Frame"
import * as Effect from "effect/Effect"
import type { Channel, ChannelEnd, Receive, SendResult } from "../ipc/Channel.ts"

/** One end of the pair, with what a test may do to it. */
export interface MemoryChannel extends Channel {
  /** Ends the channel on this side: its listener is told, its sends are dropped. */
  readonly endUnsafe: (end: ChannelEnd) => void
  /** While full, senders wait for `drained`; nothing is dropped. */
  readonly setFullUnsafe: (full: boolean) => void
}

/** The frame as text; undefined when it is no JSON. */
const write = (frame: unknown): string | undefined => {
  try {
    return JSON.stringify(frame)
  } catch {
    return undefined
  }
}

class End implements MemoryChannel {
  peer: End | undefined
  #receive: Receive | undefined
  #listener: ((end: ChannelEnd) => void) | undefined
  #ended: ChannelEnd | undefined
  #early: Array<readonly [frame: unknown, characters: number]> = []
  #paused = false
  #sent = 0
  #full = false
  #drainWaiters: Array<() => void> = []

  readonly drained = Effect.callback<void>((resume) => {
    if (!this.#full || this.#ended !== undefined) return resume(Effect.void)
    this.#drainWaiters.push(() => resume(Effect.void))
  })

  readonly sendUnsafe = (frame: unknown): SendResult => {
    const { peer } = this
    if (this.#ended !== undefined || peer === undefined) return "ended"
    const text = write(frame)
    if (text === undefined) return "not-json"
    if (text.length > Frame.maxLength) return "too-large"
    this.#sent += text.length
    queueMicrotask(() => peer.#deliver(JSON.parse(text), text.length))
    return "sent"
  }

  readonly sentUnsafe = (): number => this.#sent

  readonly flushUnsafe = (): void => {}

  readonly isFullUnsafe = (): boolean => this.#full

  readonly setFullUnsafe = (full: boolean): void => {
    this.#full = full
    if (full) return
    const waiters = this.#drainWaiters
    this.#drainWaiters = []
    for (const waiter of waiters) waiter()
  }

  readonly onFrameUnsafe = (receive: Receive): void => {
    this.#receive = receive
    this.#flushEarly()
  }

  readonly onEndUnsafe = (listener: (end: ChannelEnd) => void): void => {
    this.#listener = listener
    if (this.#ended !== undefined) listener(this.#ended)
  }

  readonly pauseUnsafe = (): void => {
    this.#paused = true
  }

  readonly resumeUnsafe = (): void => {
    this.#paused = false
    this.#flushEarly()
  }

  readonly closeUnsafe = (): void => {
    const { peer } = this
    this.endUnsafe({ _tag: "Closed" })
    queueMicrotask(() => peer?.endUnsafe({ _tag: "Closed" }))
  }

  readonly endUnsafe = (end: ChannelEnd): void => {
    if (this.#ended !== undefined) return
    this.#ended = end
    this.setFullUnsafe(false)
    this.#listener?.(end)
  }

  #deliver(frame: unknown, characters: number): void {
    if (this.#ended !== undefined) return
    if (this.#receive === undefined || this.#paused) this.#early.push([frame, characters])
    else this.#receive(frame, characters)
  }

  #flushEarly(): void {
    while (this.#receive !== undefined && !this.#paused) {
      const next = this.#early.shift()
      if (next === undefined) return
      this.#receive(...next)
    }
  }
}

/** The parent's and the worker's end. */
export const makePairUnsafe = (): { readonly parent: MemoryChannel; readonly worker: MemoryChannel } => {
  const parent = new End()
  const worker = new End()
  parent.peer = worker
  worker.peer = parent
  return { parent, worker }
}
