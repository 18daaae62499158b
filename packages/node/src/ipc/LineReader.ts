/**
 * Reads a child's output line by line (R10). What never ends a line is cut, so that a child cannot
 * fill the daemon's memory with one.
 */
import type { Readable } from "node:stream"
import { StringDecoder } from "node:string_decoder"
import * as Reading from "./Reading.ts"

/** A longer line is handed on in pieces of this many characters. */
export const maxLineLength = 16 * 1024

/** Where to cut: not between the two halves of one character. */
const endOfPiece = (text: string): number => {
  const last = text.charCodeAt(maxLineLength - 1)
  return last >= 0xd800 && last <= 0xdbff ? maxLineLength - 1 : maxLineLength
}

/** Hands each line of the stream to `line`, the last one also when nothing ends it. */
export const readLines = (stream: Readable, line: (text: string) => void): Reading.Reading => {
  const decoder = new StringDecoder("utf8")
  let rest = ""
  /** Hands on what is too long in pieces, and gives what is left. */
  const cut = (text: string): string => {
    let left = text
    while (left.length > maxLineLength) {
      const end = endOfPiece(left)
      line(left.slice(0, end))
      left = left.slice(end)
    }
    return left
  }
  const take = (text: string) => {
    const lines = (rest + text).split("\n")
    rest = lines.pop() ?? ""
    for (const one of lines) line(cut(one.endsWith("\r") ? one.slice(0, -1) : one))
    rest = cut(rest)
  }
  const reading = Reading.readUnsafe(stream, (chunk) => take(decoder.write(chunk)))
  stream.on("end", () => {
    take(decoder.end())
    if (rest !== "") line(rest)
    rest = ""
  })
  // A broken output pipe ends the output; the process' exit is told elsewhere.
  stream.on("error", () => {})
  return reading
}
