/**
 * Writes long lines to a socket: each through a buffer that is used again. Handed over as a string, a line would be
 * copied to join it with its end, and again into memory for three bytes per character, taken anew for each.
 */
import { Socket } from "node:net"
import type { Writable } from "node:stream"
import { free } from "./Reading.ts"

const newline = 0x0a

/** Bytes of a buffer that is used again. */
const bufferSize = 256 * 1024

/** Characters that surely fit into one: three bytes each at most, and the line's end. */
const fitting = Math.floor((bufferSize - 1) / 3)

/** So many are made, for all sockets: what waits for a slow peer beyond them is no larger than it has to be. */
const most = 2
let made = 0
/** Those that wait for their next use. */
const kept: Array<Buffer<ArrayBuffer>> = []

const takeKept = (): Buffer<ArrayBuffer> | undefined => {
  const buffer = kept.pop()
  if (buffer !== undefined || made === most) return buffer
  made += 1
  return Buffer.allocUnsafeSlow(bufferSize)
}

/**
 * Writes the text and a line's end. As `write` of the stream: false when it takes no more for now. What is written is put
 * at the end of `writing`, from whose beginning it is taken when it is done.
 */
export const writeLine = (output: Writable, text: string, writing: Array<string | Buffer>): boolean => {
  // Only a socket is known to be done with what it was given when it says so: another stream may pass it on.
  if (!(output instanceof Socket)) {
    const line = `${text}\n`
    writing.push(line)
    return output.write(line, () => void writing.shift())
  }
  const again = text.length <= fitting ? takeKept() : undefined
  const buffer = again ?? Buffer.allocUnsafeSlow(Buffer.byteLength(text) + 1)
  const length = buffer.write(text)
  buffer[length] = newline
  const line = buffer.subarray(0, length + 1)
  writing.push(line)
  return output.write(line, () => {
    writing.shift()
    if (again === undefined) free(buffer)
    else kept.push(again)
  })
}
