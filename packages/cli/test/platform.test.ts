import { describe, expect, it } from "@effect/vitest"
import { obstacle } from "../src/platform.ts"

describe("platform", () => {
  it("runs on Linux and macOS with Node 22.19 or later", () => {
    for (const version of ["22.19.0", "22.20.1", "24.0.0", "26.10.0"]) {
      expect(obstacle("linux", version)).toBeNull()
      expect(obstacle("darwin", version)).toBeNull()
    }
  })

  it("says which Node it needs, and which this is", () => {
    expect(obstacle("linux", "20.20.2")).toContain("needs Node 22.19 or later; it was started by 20.20.2")
    expect(obstacle("linux", "22.18.0")).toContain("22.18.0")
  })

  it("says what is missing on Windows", () => {
    expect(obstacle("win32", "24.21.0")).toContain("process groups")
  })
})
