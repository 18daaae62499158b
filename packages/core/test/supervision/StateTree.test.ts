/** Snapshots as values: through JSON, found by path, compared. */
import { describe, expect, it } from "@effect/vitest"
import * as StateTree from "@nerve/core/supervision/StateTree"
import { Effect, Schema } from "effect"
import { root } from "./stateTrees.ts"

describe("StateTree", () => {
  it("goes through JSON and comes back the same", () =>
    Effect.runPromise(
      Effect.gen(function* () {
        const json = yield* Schema.encodeEffect(StateTree.StateTreeJson)(root)
        expect(yield* Schema.decodeEffect(StateTree.StateTreeJson)(json)).toEqual(root)
      })
    ))

  it("finds a node by its path", () => {
    expect(StateTree.find(root, ["web", "mail"])?.state).toBe("Failed")
    expect(StateTree.find(root, ["web", "nobody"])).toBeUndefined()
    expect(StateTree.find(root, [])).toBe(root)
  })

  it("is the same only when all of it is", () => {
    expect(StateTree.same(root, { ...root, children: root.children.map((child) => ({ ...child })) })).toBe(true)
    const others: { readonly [Key in Exclude<keyof StateTree.StateTree, "children">]: StateTree.StateTree[Key] } = {
      id: "other",
      kind: "thread",
      state: "Stopped",
      since: 1,
      incarnation: 9,
      crashes: 9,
      restart: "never",
      plan: "held",
      resumeId: "other",
      pid: 1,
      exit: { outcome: "Failed", code: 1, signal: null, error: null },
      metadata: { other: "1" },
      strategy: "one-for-all",
      breaker: "open"
    }
    for (const [key, value] of Object.entries(others)) {
      expect(StateTree.same(root, { ...root, [key]: value }), key).toBe(false)
    }
    const changed = root.children.map((child) => ({ ...child, children: child.children.slice(0, 1) }))
    expect(StateTree.same(root, { ...root, children: changed })).toBe(false)
  })
})
