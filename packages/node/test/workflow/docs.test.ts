/** The workflows in docs/workflows.md load, and do what the chapter says. */
import { ThreadId, WorkflowName } from "@nerve/core/domain/Ids"
import type { ThreadMessage } from "@nerve/core/domain/Thread"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Scope } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { layer } from "../../src/workflow/RoleServices.ts"
import * as WorkflowHost from "../../src/workflow/WorkflowHost.ts"
import { makeWorkspace, withNativeImport } from "../user/workspace.ts"

const chapter = readFileSync(join(import.meta.dirname, "../../../../docs/workflows.md"), "utf8")
const modules = new Map(
  [...chapter.matchAll(/```ts\n\/\/ (workflows\/([\w-]+)\/index\.ts)\n([\s\S]*?)\n```$/gm)].map(
    ([, file, name, text]) => [name ?? "", { file: file ?? "", text: text ?? "" }] as const
  )
)

/** Runs a thread to its end; what was said in it. */
const converse = Effect.fnUntraced(function* (name: string, options: { readonly dryRun?: boolean } = {}) {
  const module = modules.get(name)
  if (module === undefined) throw new Error(`the chapter has no workflow ${name}`)
  const workspace = yield* makeWorkspace({ [module.file]: module.text, "nerve.yaml": "workflows: {}\n" })
  const scope = yield* Scope.Scope
  const workflow = WorkflowName.make(name)
  const host = yield* WorkflowHost.make(
    { workflow, workspace, agents: {}, extract: null },
    Layer.buildWithScope(layer, scope)
  ).pipe(withNativeImport)
  const start = {
    threadId: ThreadId.make("t"),
    workflow,
    prompt: "world",
    maxRounds: 20,
    dryRun: options.dryRun ?? false
  }
  const steps: Array<ThreadMessage> = []
  while (steps.length < start.maxRounds) {
    const outcome = yield* host.handlers.RunRound({ start, steps })
    if (outcome._tag !== "Spoke") break
    const { content, meta, role } = outcome
    steps.push({ round: steps.length + 1, role, content, meta, timestamp: 0 })
  }
  return { workspace, said: steps.map(({ content, meta, role }) => [role, content, meta]) }
})

describe("docs/workflows.md", () => {
  it("has the workflows that are tried here", () => {
    expect([...modules.keys()]).toEqual(["greet", "count", "look", "review", "shout", "dice"])
  })

  it.live("greet", () =>
    Effect.gen(function* () {
      expect((yield* converse("greet")).said).toEqual([
        ["greeter", "Hello, world.", null],
        ["critic", "Too long.", { length: 13 }]
      ])
    })
  )

  it.live("count", () =>
    Effect.gen(function* () {
      const { said } = yield* converse("count")
      expect(said.map(([, content]) => content)).toEqual(["1", "2", "3", "Counted in 3 rounds."])
    })
  )

  it.live("look", () =>
    Effect.gen(function* () {
      const { said, workspace } = yield* converse("look")
      expect(said).toEqual([
        ["reader", "workflows: {}\n", { lines: 2 }],
        ["lister", "nerve.yaml\nworkflows\n", null],
        ["writer", "report.md", null]
      ])
      expect(readFileSync(join(workspace, "report.md"), "utf8")).toContain("# lister\n\nnerve.yaml")
    })
  )

  it.live("review, also as a dry run", () =>
    Effect.gen(function* () {
      const { said } = yield* converse("review")
      expect(said.map(([role, , meta]) => [role, meta])).toEqual([
        ["reader", null],
        ["reviewer", { approved: true, reasons: ["small", "tested"] }]
      ])
      expect((yield* converse("review", { dryRun: true })).said).toEqual([
        ["reader", "[dry run] reader (adapter scripted) was not run", null],
        ["reviewer", "would judge", { approved: true, reasons: [] }]
      ])
    })
  )

  it.live("shout", () =>
    Effect.gen(function* () {
      expect((yield* converse("shout")).said).toEqual([["shouter", "WORLD", { length: 5 }]])
    })
  )

  it.live("dice", () =>
    Effect.gen(function* () {
      const { said } = yield* converse("dice")
      expect(said).toHaveLength(2)
      for (const [, content] of said) expect(content).toMatch(/^A [1-6]\.$/)
    })
  )
})
