import * as NodeCommand from "@nerve/node/worker/NodeCommand"
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"

let parent: string
let folder: string
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), "nerve-cache-"))
  folder = join(parent, `nerve-compile-cache-${process.getuid?.()}`)
})
afterEach(() => rmSync(parent, { recursive: true }))

describe("the folder of compiled code", () => {
  it("is made for the user alone, and found again", () => {
    expect(NodeCommand.compileCache(parent)).toEqual({ NODE_COMPILE_CACHE: folder })
    expect(lstatSync(folder).mode & 0o777).toBe(0o700)
    expect(NodeCommand.compileCache(parent)).toEqual({ NODE_COMPILE_CACHE: folder })
  })

  it("is not used when others may write to it", () => {
    mkdirSync(folder)
    chmodSync(folder, 0o777)
    expect(NodeCommand.compileCache(parent)).toEqual({})
  })

  it("is not used when it is a link, to whatever", () => {
    mkdirSync(join(parent, "elsewhere"))
    symlinkSync(join(parent, "elsewhere"), folder)
    expect(NodeCommand.compileCache(parent)).toEqual({})
  })

  it("is not used when it is a file, or cannot be made", () => {
    writeFileSync(folder, "")
    expect(NodeCommand.compileCache(parent)).toEqual({})
    expect(NodeCommand.compileCache("/proc/no such folder")).toEqual({})
  })

  it.runIf(process.getuid?.() === 0)("is not used when another user made it", async () => {
    const { chownSync } = await import("node:fs")
    mkdirSync(folder, { mode: 0o700 })
    chownSync(folder, 12345, 12345)
    expect(NodeCommand.compileCache(parent)).toEqual({})
  })
})
