/**
 * Reads a child's output line by line (R10). What never ends a line is cut, so that a child cannot
 * fill the daemon's memory with one.
 */
import type { Readable } from "node:stream"
import { StringDecoder } from "node:string_decoder"
import * as Reading from "./Reading.ts"

/** A longer line is handed on in pieces of this many characters. */
export const maxLineLength = 16 * 1024

const carriageReturn = 0x0d

class LineReader implements Reading.Reader {
  readonly #decoder = new StringDecoder("utf8")
  readonly #line: (text: string) => void
  /** What has come and was not handed on: from `#from` on. */
  #text = ""
  #from = 0

  constructor(line: (text: string) => void) {
    this.#line = line
  }

  take(chunk: Buffer): void {
    this.#add(this.#decoder.write(chunk))
  }

  /** Hands on a line, or a piece of one that is too long. */
  next(): boolean {
    const end = this.#text.indexOf("\n", this.#from)
    const stop = end === -1 ? this.#text.length : this.#endOfLine(end)
    if (stop - this.#from > maxLineLength) {
      this.#handOn(this.#endOfPiece())
    } else if (end === -1) {
      return false
    } else {
      this.#handOn(stop, end + 1)
    }
    return true
  }

  end(): void {
    this.#add(this.#decoder.end())
    while (this.next());
    if (this.#from < this.#text.length) this.#handOn(this.#text.length)
  }

  #add(text: string): void {
    this.#text = this.#text.slice(this.#from) + text
    this.#from = 0
  }

  #handOn(end: number, next = end): void {
    const text = this.#text.slice(this.#from, end)
    this.#from = next
    this.#line(text)
  }

  /** Without the carriage return before its end. */
  #endOfLine(end: number): number {
    return end > this.#from && this.#text.charCodeAt(end - 1) === carriageReturn ? end - 1 : end
  }

  /** Not between the two halves of one character. */
  #endOfPiece(): number {
    const end = this.#from + maxLineLength
    const last = this.#text.charCodeAt(end - 1)
    return last >= 0xd800 && last <= 0xdbff ? end - 1 : end
  }
}

/** Hands each line of the stream to `line`, the last one also when nothing ends it. */
export const readLines = (stream: Readable, line: (text: string) => void): Reading.Reading =>
  Reading.readUnsafe(stream, new LineReader(line))
