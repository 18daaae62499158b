import * as Frame from "@nerve/core/wire/Frame"
import { Unread } from "../../src/internal/unread.ts"
import { describe, expect, it } from "vitest"

const times = (n: number, run: () => unknown) => Array.from({ length: n }, run)

describe("Unread", () => {
  it("takes as many chunks as the window holds, and one more for each that was taken", () => {
    const unread = new Unread()
    expect(times(Frame.streamWindow, () => unread.add(10))).not.toContain(false)
    unread.take()
    expect([unread.add(10), unread.add(10)]).toEqual([true, false])
  })

  it("takes a chunk of any size while those before it hold less than the bound", () => {
    const unread = new Unread()
    expect([unread.add(Frame.streamCharacters - 1), unread.add(Frame.maxLength), unread.add(1)]).toEqual([
      true,
      true,
      false
    ])
    times(2, () => unread.take())
    expect(unread.count).toBe(1)
    expect(unread.add(1)).toBe(true)
  })
})
