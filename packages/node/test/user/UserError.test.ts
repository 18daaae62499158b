/** What user code threw, in words: the message, and only the frames that lie in the user's files. */
import { describe, expect, it } from "@effect/vitest"
import { Cause, Data } from "effect"
import * as UserError from "../../src/user/UserError.ts"

const workspace = "/srv/my work"
const stack = (message: string) =>
  [
    message,
    "    at read (file:///srv/my%20work/senses/cpu/read.ts?v=3:3:9)",
    "    at async compute (/srv/my work/senses/cpu/index.mjs:10:2)",
    "    at lib (file:///srv/my%20work/node_modules/lib/index.js:1:1)",
    "    at runLoop (file:///opt/nerve/dist/senseWorker.js:1:1)",
    "    at node:internal/process/task_queues:104:5"
  ].join("\n")

const thrown = (error: Error): Error => Object.assign(error, { stack: stack(`${error.name}: ${error.message}`) })

const userFrames = "at read (senses/cpu/read.ts:3:9)\nat async compute (senses/cpu/index.mjs:10:2)"

class NoTag extends Data.TaggedError("NoTag")<{ readonly n: number }> {}

describe("UserError.describe", () => {
  it("keeps the message and the frames in the workspace, with relative paths", () => {
    expect(UserError.describe(thrown(new Error("boom")), workspace)).toEqual({ message: "boom", stack: userFrames })
  })

  it("cuts what nobody would read: a message of megabytes, the stack of an endless recursion", () => {
    const error = Object.assign(new Error("x".repeat(5_000_000)), {
      stack: `Error\n${"    at read (/srv/my work/senses/cpu/read.ts:3:9)\n".repeat(10_000)}`
    })
    const { message, stack } = UserError.describe(error, workspace)
    expect(message).toBe(`${"x".repeat(2_000)}…`)
    expect(stack?.split("\n")).toHaveLength(20)
  })

  it("names the class of an error that is not just Error", () => {
    expect(UserError.describe(thrown(new TypeError("x is null")), workspace).message).toBe("TypeError: x is null")
  })

  it("adds what the causes say, once", () => {
    const inner = thrown(new Error("no such table: samples"))
    const wrapped = new Error("Failed to execute statement", { cause: new Error("wrapper", { cause: inner }) })
    expect(UserError.describe(wrapped, workspace)).toEqual({
      message: "Failed to execute statement: wrapper: no such table: samples",
      stack: userFrames
    })
    const repeated = new Error("boom: inner", { cause: new Error("inner") })
    expect(UserError.describe(repeated, workspace).message).toBe("boom: inner")
  })

  it("ends on an error that is its own cause", () => {
    const error = new Error("a")
    error.cause = new Error("b", { cause: error })
    expect(UserError.describe(error, workspace).message).toBe("a: b")
  })

  it("describes what is no Error", () => {
    const messages: ReadonlyArray<readonly [unknown, string]> = [
      ["text", "text"],
      [undefined, "the value undefined"],
      [7, "the value 7"],
      [{ a: 1 }, "{ a: 1 }"],
      [{ _tag: "Offline", host: "x" }, "Offline"],
      [new NoTag({ n: 1 }), "NoTag"],
      [new Error(""), "Error"]
    ]
    for (const [value, message] of messages) {
      expect(UserError.describe(value, workspace)).toEqual({ message, stack: null })
    }
  })

  it("takes the workspace's path out of messages", () => {
    expect(UserError.describe("no file /srv/my work/data/x.db", workspace).message).toBe("no file data/x.db")
  })
})

describe("UserError.describeCause", () => {
  it("prefers a failure to a defect, and either to an interruption", () => {
    const both = Cause.combine(Cause.combine(Cause.interrupt(1), Cause.die("defect")), Cause.fail("failure"))
    expect(UserError.describeCause(both, workspace).message).toBe("failure")
    expect(UserError.describeCause(Cause.die("defect"), workspace).message).toBe("defect")
    expect(UserError.describeCause(Cause.interrupt(1), workspace).message).toBe("the fiber interrupted itself")
  })
})
