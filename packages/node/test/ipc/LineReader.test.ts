import { maxLineLength, readLines } from "@nerve/node/ipc/LineReader"
import * as fc from "fast-check"
import { Readable } from "node:stream"
import { describe, expect, it } from "vitest"

/** The lines that come of these chunks. */
const read = async (chunks: ReadonlyArray<Buffer>): Promise<ReadonlyArray<string>> => {
  const lines: Array<string> = []
  const stream = Readable.from(chunks.filter((chunk) => chunk.length > 0))
  readLines(stream, (line) => lines.push(line))
  await new Promise((resolve) => stream.once("close", resolve))
  return lines
}

const cut = (bytes: Buffer, places: ReadonlyArray<number>): ReadonlyArray<Buffer> => {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b)
  return [0, ...at].map((from, i) => bytes.subarray(from, at[i] ?? bytes.length))
}

describe("readLines", () => {
  it("gives the same lines, wherever the bytes are cut", async () => {
    const line = fc.string({ unit: "grapheme", maxLength: 50 }).map((text) => text.replace(/[\r\n]/g, ""))
    await fc.assert(
      fc.asyncProperty(
        fc.array(line),
        fc.array(fc.nat(), { maxLength: 20 }),
        fc.constantFrom("\n", "\r\n"),
        fc.boolean(),
        async (lines, places, end, ended) => {
          const text = lines.map((one) => `${one}${end}`).join("")
          const bytes = Buffer.from(ended || text === "" ? text : `${text}tail`)
          expect(await read(cut(bytes, places))).toEqual(ended || text === "" ? lines : [...lines, "tail"])
        }
      ),
      { numRuns: 300 }
    )
  })

  it("hands on long lines in pieces, ended or not, and loses nothing", async () => {
    const long = "x".repeat(3 * maxLineLength + 5)
    for (const text of [`${long}\nshort\n`, long]) {
      const lines = await read([Buffer.from(text)])
      expect(Math.max(...lines.map((line) => line.length))).toBe(maxLineLength)
      expect(lines.join("")).toBe(text.replaceAll("\n", ""))
    }
  })

  it("hands on nothing while it is paused, not even what was read already", async () => {
    const lines: Array<string> = []
    const stream = Readable.from([Buffer.from("1\n2\n3\n"), Buffer.from("4\n5")])
    const reading = readLines(stream, (line) => {
      lines.push(line)
      if (line === "2") reading.pauseUnsafe()
    })
    await new Promise((resolve) => stream.once("data", resolve))
    await new Promise((resolve) => void setImmediate(resolve))
    expect(lines).toEqual(["1", "2"])
    reading.resumeUnsafe()
    await new Promise((resolve) => stream.once("close", resolve))
    expect(lines).toEqual(["1", "2", "3", "4", "5"])
  })

  it("does not cut a character in two", async () => {
    const text = `x${"🦊".repeat(maxLineLength)}`
    const lines = await read([Buffer.from(text)])
    expect(lines.every((line) => line.isWellFormed())).toBe(true)
    expect(lines.join("")).toBe(text)
  })
})
