/** The frames that docs/ipc.md lists are those that are read, field by field. */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import * as Frame from "../../src/wire/Frame.ts"

const chapter = readFileSync(new URL("../../../../docs/ipc.md", import.meta.url), "utf8")

/** Frames in the table below a heading, with a value for each placeholder. */
const framesBelow = (heading: string): ReadonlyArray<Record<string, unknown>> => {
  const section = chapter.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? ""
  return Array.from(section.matchAll(/^\| `(\{.*?\})` +\|/gm), ([, text = ""]) =>
    JSON.parse(text.replaceAll(/(?<=[:[])(?:JSON|[NT])(?=[,}\]])/g, (name) => (name === "N" ? "1" : '"text"')))
  )
}

const kindsOf = (frames: ReadonlyArray<Record<string, unknown>>) => frames.map((frame) => frame["t"])

/** Fields without which a frame is none. */
const required = (read: (frame: unknown) => unknown, frame: Record<string, unknown>): ReadonlyArray<string> =>
  Object.keys(frame).filter((name) => typeof read({ ...frame, [name]: undefined }) === "string")

describe("docs/ipc.md", () => {
  it("lists the frames to a worker, whole", () => {
    const frames = framesBelow("From the daemon")
    assert.deepStrictEqual(kindsOf(frames), ["init", "call", "cancel", "ack", "ping", "stop"])
    for (const frame of frames) assert.deepStrictEqual<unknown>(Frame.toWorker(frame), frame)
    assert.deepStrictEqual(
      frames.map((frame) => required(Frame.toWorker, frame)),
      [["t", "key", "incarnation"], ["t", "id", "method"], ["t", "id"], ["t", "id", "n"], ["t", "n"], ["t"]]
    )
  })

  it("lists the frames from a worker, whole, and says which fields may be left out", () => {
    const frames = framesBelow("From the worker")
    const answers = ["done", "fail", "die", "interrupted", "reject", "chunk"]
    assert.deepStrictEqual(kindsOf(frames), ["ready", ...answers, "log", "pong"])
    for (const frame of frames) assert.deepStrictEqual<unknown>(Frame.fromWorker(frame), frame)
    assert.deepStrictEqual(
      frames.map((frame) => required(Frame.fromWorker, frame)),
      [
        ["t", "v"],
        ["t", "id"],
        ["t", "id"],
        ["t", "id", "defect"],
        ["t", "id"],
        ["t", "id", "detail"],
        ["t", "id", "values"],
        ["t", "message"],
        ["t", "n"]
      ]
    )
    assert.isNotString(Frame.fromWorker({ t: "die", id: 1, defect: { message: "text" } }))
  })

  it("names the version, the cap and the window that are in force", () => {
    assert.include(chapter, `Version ${Frame.protocolVersion}.`)
    assert.include(chapter, `4 MiB (${Frame.maxLength.toLocaleString("en").replaceAll(",", " ")} bytes)`)
    assert.include(chapter, `At most ${Frame.streamWindow} chunks may be unacknowledged.`)
  })
})
