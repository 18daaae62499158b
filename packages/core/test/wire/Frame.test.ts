import * as Frame from "@nerve/core/wire/Frame"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

/** Anything, and things that look much like frames. */
const anything = fc.oneof(
  fc.jsonValue(),
  fc.record(
    {
      t: fc.oneof(
        fc.constantFrom("ready", "done", "fail", "die", "interrupted", "reject", "chunk", "log", "init", "call"),
        fc.constantFrom("ping", "pong"),
        fc.constantFrom("cancel", "ack", "stop", "toString", "__proto__"),
        fc.jsonValue()
      ),
      id: fc.oneof(fc.nat(), fc.jsonValue()),
      v: fc.oneof(fc.nat(), fc.jsonValue()),
      values: fc.oneof(fc.array(fc.jsonValue()), fc.jsonValue()),
      detail: fc.oneof(fc.string(), fc.jsonValue()),
      message: fc.oneof(fc.string(), fc.jsonValue()),
      level: fc.jsonValue(),
      fields: fc.jsonValue(),
      defect: fc.oneof(
        fc.record({ message: fc.string(), name: fc.jsonValue(), stack: fc.jsonValue() }),
        fc.jsonValue()
      ),
      key: fc.oneof(fc.string(), fc.jsonValue()),
      incarnation: fc.oneof(fc.nat(), fc.jsonValue()),
      method: fc.oneof(fc.string(), fc.jsonValue()),
      n: fc.oneof(fc.nat(), fc.jsonValue()),
      ping: fc.oneof(fc.boolean(), fc.jsonValue()),
      delayMs: fc.oneof(fc.double(), fc.jsonValue()),
      memory: fc.oneof(fc.nat(), fc.jsonValue())
    },
    { requiredKeys: ["t"] }
  )
)

const idOf = (frame: object): unknown => ("id" in frame ? frame.id : 0)

describe("Frame", () => {
  it("gives a frame or says why there is none, whatever comes from a worker", () => {
    fc.assert(
      fc.property(anything, (value) => {
        const frame = Frame.fromWorker(value)
        if (typeof frame === "string") return void expect(frame.length).toBeLessThan(200)
        expect(typeof idOf(frame)).toBe("number")
        if (frame.t === "log") expect([typeof frame.level, typeof frame.fields]).toEqual(["string", "object"])
        if (frame.t === "die")
          expect([typeof frame.defect.name, typeof frame.defect.message]).toEqual(["string", "string"])
        if (frame.t === "chunk") expect(Array.isArray(frame.values)).toBe(true)
        if (frame.t === "reject") expect(typeof frame.detail).toBe("string")
        if (frame.t === "ready") expect(typeof frame.ping).toBe("boolean")
        if (frame.t === "pong") {
          for (const told of [frame.delayMs, frame.memory]) expect(told === null || told >= 0).toBe(true)
        }
      }),
      { numRuns: 2000 }
    )
  })

  it("gives a frame or says why there is none, whatever comes to a worker", () => {
    fc.assert(
      fc.property(anything, (value) => {
        const frame = Frame.toWorker(value)
        if (typeof frame === "string") return
        expect(typeof idOf(frame)).toBe("number")
        if (frame.t === "call") expect(typeof frame.method).toBe("string")
        if (frame.t === "init") expect([typeof frame.key, typeof frame.incarnation]).toEqual(["string", "number"])
        if (frame.t === "ack") expect(typeof frame.n).toBe("number")
      }),
      { numRuns: 2000 }
    )
  })

  it("shows the beginning of what is no frame, as JSON", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const text = JSON.stringify([value])
        const shown = text.length > 120 ? `${text.slice(0, 120)}…` : text
        expect(Frame.fromWorker([value])).toBe(`not a frame of the protocol: ${shown}`)
      }),
      { numRuns: 2000 }
    )
  })

  it("looks at no more of what is no frame than it shows", () => {
    let looks = 0
    const costly = {
      get costly() {
        looks += 1
        return 1
      }
    }
    const deep = JSON.parse(`${"[".repeat(5000)}1${"]".repeat(5000)}`)
    for (const frame of [["x".repeat(200), costly], { a: "x".repeat(200), costly }, [deep, costly]]) {
      expect(Frame.fromWorker(frame)).toHaveLength("not a frame of the protocol: ".length + 121)
    }
    expect(Frame.toWorker({ t: "call", id: "x".repeat(200), costly })).toContain('{"t":"call","id":"xxx')
    expect(looks).toBe(0)
  })

  it("ignores fields that it does not know", () => {
    expect(Frame.fromWorker({ t: "ready", v: 1, info: null, later: true })).toEqual({
      t: "ready",
      v: 1,
      info: null,
      ping: false
    })
    expect(Frame.toWorker({ t: "stop", later: true })).toEqual({ t: "stop" })
  })

  it("shows the beginning of what is nested too deep to be written again", () => {
    const deep: unknown = JSON.parse(`${"[".repeat(200_000)}${"]".repeat(200_000)}`)
    expect(Frame.fromWorker(deep)).toContain("[[[[")
    expect(Frame.toWorker({ t: "odd", deep })).toContain(`{"t":"odd","deep":[[[[`)
  })

  it("tells which call a malformed answer was for", () => {
    expect(Frame.callOf({ t: "die", id: 7 })).toBe(7)
    expect([Frame.callOf({ t: "die", id: "7" }), Frame.callOf(null), Frame.callOf([7])]).toEqual([
      undefined,
      undefined,
      undefined
    ])
  })
})
