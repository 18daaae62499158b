/**
 * Reads a stream in turns, so that a peer that sends without end does not hold up everybody else: Node reads up to 32
 * times in a row before anyone else has a turn, and one chunk may hold thousands of frames. Its owner may also stop it for
 * as long as it likes; what was read and not worked off by then waits, in its order. Nothing that was read is lost when
 * the stream ends.
 */
import type { Readable } from "node:stream"

/** What one stream may bring, in bytes, before the others have their turn: a millisecond's work or less, as a rule. */
const turnBytes = 128 * 1024

/** What a piece of work counts beside its bytes: the smallest frame is not for nothing. */
const pieceBytes = 256

/** From this size on a chunk's memory is its own, and worth to be freed by hand. */
const largeChunk = 16 * 1024

export interface Reading {
  readonly pauseUnsafe: () => void
  readonly resumeUnsafe: () => void
}

/** In turns. */
export interface TurnsReading extends Reading {
  /** Whether all that has come is worked off. */
  readonly isIdleUnsafe: () => boolean
}

/** Who works off what a stream brings. */
export interface Reader {
  /** Takes a chunk in; its memory is freed afterwards. Nothing is left of the one before. */
  readonly take: (chunk: Buffer<ArrayBuffer>) => void
  /** Does the next piece of work; false when nothing is left. */
  readonly next: () => boolean
  /** The stream has ended, and nothing is left. Told again when it closes. */
  readonly end: () => void
}

/** Frees its memory at once. Garbage of megabytes would wait for a collection that only looks at small objects. */
export const free = (buffer: Buffer<ArrayBuffer>): void => {
  if (buffer.length > 0) buffer.buffer.transfer(0)
}

/** A chunk that shares its memory with others is left alone. */
const freeChunk = (chunk: Buffer<ArrayBuffer>): void => {
  if (chunk.length >= largeChunk && chunk.length === chunk.buffer.byteLength) free(chunk)
}

class TurnReading implements TurnsReading {
  readonly #stream: Readable
  readonly #reader: Reader
  /** By its owner. */
  #isPaused = false
  /** Something may be left to work off: the stream is not read until it is. */
  #isBehind = false
  #isScheduled = false
  /** Of this turn. */
  #spent = 0
  /** What came although the stream was paused: Node itself resumes the streams of a child that has exited. */
  #backlog: Array<Buffer<ArrayBuffer>> = []

  constructor(stream: Readable, reader: Reader) {
    this.#stream = stream
    this.#reader = reader
    stream.on("data", (chunk: Buffer<ArrayBuffer>) => this.#onData(chunk))
    for (const event of ["end", "error", "close"]) stream.on(event, this.#onEnd)
  }

  isIdleUnsafe(): boolean {
    return !this.#isBehind
  }

  pauseUnsafe(): void {
    this.#isPaused = true
    this.#stream.pause()
  }

  resumeUnsafe(): void {
    this.#isPaused = false
    if (this.#isBehind) this.#schedule()
    else this.#stream.resume()
  }

  #onData(chunk: Buffer<ArrayBuffer>): void {
    if (this.#isBehind) {
      this.#backlog.push(chunk)
      this.#stream.pause()
      return
    }
    this.#take(chunk)
    this.#work()
  }

  #take(chunk: Buffer<ArrayBuffer>): void {
    this.#spent += chunk.length
    this.#reader.take(chunk)
    freeChunk(chunk)
  }

  #work(): void {
    while (!this.#isPaused && this.#spent < turnBytes) {
      if (this.#reader.next()) {
        this.#spent += pieceBytes
      } else {
        const chunk = this.#backlog.shift()
        if (chunk === undefined) return this.#caughtUp()
        this.#take(chunk)
      }
    }
    this.#isBehind = true
    this.#stream.pause()
    if (!this.#isPaused) this.#schedule()
  }

  #caughtUp(): void {
    if (!this.#isBehind) return
    this.#isBehind = false
    this.#stream.resume()
  }

  /** Goes on when the others have had their turn. */
  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(this.#nextTurn)
  }

  readonly #nextTurn = (): void => {
    this.#isScheduled = false
    this.#spent = 0
    if (!this.#isPaused) this.#work()
  }

  /** All that was read. */
  readonly #onEnd = (): void => {
    for (;;) {
      while (this.#reader.next());
      const chunk = this.#backlog.shift()
      if (chunk === undefined) return this.#reader.end()
      this.#take(chunk)
    }
  }
}

/** Hands what comes to the reader. */
export const readUnsafe = (stream: Readable, reader: Reader): TurnsReading => new TurnReading(stream, reader)
