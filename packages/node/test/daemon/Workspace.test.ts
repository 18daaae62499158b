/**
 * Finding a workspace and naming its paths, on the real file system.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Workspace from "@nerve/node/daemon/Workspace"
import { mkdirSync, mkdtempSync, realpathSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const temporary = Effect.acquireRelease(
  Effect.sync(() => realpathSync(mkdtempSync(join(tmpdir(), "nerve-workspace-")))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

describe("Workspace", () => {
  it.effect("finds the nearest nerve.yaml upwards", () =>
    Effect.gen(function* () {
      const root = yield* temporary
      const inner = join(root, "a/inner")
      mkdirSync(join(inner, "b/c"), { recursive: true })
      writeFileSync(join(root, "nerve.yaml"), "")
      assert.strictEqual((yield* Workspace.find(join(inner, "b/c"))).root, root)
      writeFileSync(join(inner, "nerve.yaml"), "")
      assert.strictEqual((yield* Workspace.find(join(inner, "b/c"))).root, inner)
    })
  )

  it.effect("is the same workspace when reached by a symbolic link", () =>
    Effect.gen(function* () {
      const root = yield* temporary
      mkdirSync(join(root, "real"))
      writeFileSync(join(root, "real/nerve.yaml"), "")
      symlinkSync(join(root, "real"), join(root, "link"))
      const direct = yield* Workspace.find(join(root, "real"))
      const linked = yield* Workspace.find(join(root, "link"))
      assert.strictEqual(linked.socket, direct.socket)
    })
  )

  it.effect("fails with what to do when there is none, also for a folder that does not exist", () =>
    Effect.gen(function* () {
      const root = yield* temporary
      for (const start of [root, join(root, "missing")]) {
        const error = yield* Effect.flip(Workspace.find(start))
        assert.strictEqual(error._tag, "WorkspaceNotFound")
        assert.include(error.message, start)
        assert.include(error.hint, "--workspace")
      }
    })
  )

  it("keeps the socket in .nerve while its path is short", () => {
    assert.strictEqual(Workspace.make("/srv/watch").socket, "/srv/watch/.nerve/control.sock")
  })

  it("puts the socket of a long path under the temp folder, per workspace, within the system's limit", () => {
    const long = `/srv/${"x".repeat(120)}`
    const one = Workspace.make(`${long}/one`)
    const two = Workspace.make(`${long}/two`)
    assert.isAtMost(Buffer.byteLength(one.socket), 103)
    assert.isFalse(one.socket.startsWith(long))
    assert.notStrictEqual(one.socket, two.socket)
    assert.strictEqual(one.socket, Workspace.make(`${long}/one`).socket)
  })

  it("counts bytes, not characters", () => {
    const root = `/srv/${"ä".repeat(45)}`
    assert.isFalse(Workspace.make(root).socket.startsWith(root))
  })

  it.effect("closes the run folder to others, also one that was open", () =>
    Effect.gen(function* () {
      const root = yield* temporary
      const workspace = Workspace.make(root)
      mkdirSync(workspace.runDir, { mode: 0o755 })
      yield* Workspace.prepareRunDir(workspace)
      assert.strictEqual(statSync(workspace.runDir).mode & 0o777, 0o700)
    })
  )

  it.effect("refuses a symbolic link in place of the run folder", () =>
    Effect.gen(function* () {
      const root = yield* temporary
      const workspace = Workspace.make(root)
      mkdirSync(join(root, "elsewhere"))
      symlinkSync(join(root, "elsewhere"), workspace.runDir)
      const error = yield* Effect.flip(Workspace.prepareRunDir(workspace))
      assert.strictEqual(error._tag, "RunDirUnusable")
      assert.include(error.message, workspace.runDir)
    })
  )
})
