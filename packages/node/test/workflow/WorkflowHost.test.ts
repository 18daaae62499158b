/** One round of a workflow that lies in real files, imported by Node itself. */
import { ThreadId, WorkflowName } from "@nerve/core/domain/Ids"
import type { ThreadMessage, ThreadStart } from "@nerve/core/domain/Thread"
import type { WorkflowWorkerInit } from "@nerve/core/wire/WorkflowRpcs"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Schedule, type Schema, Scope } from "effect"
import { existsSync, readFileSync } from "node:fs"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { layer } from "../../src/workflow/RoleServices.ts"
import * as WorkflowHost from "../../src/workflow/WorkflowHost.ts"
import { makeWorkspace, withNativeImport } from "../user/workspace.ts"

const name = WorkflowName.make("w")
const start: ThreadStart = { threadId: ThreadId.make("t1"), workflow: name, prompt: "go", maxRounds: 20, dryRun: false }

const spoke = (...steps: ReadonlyArray<readonly [role: string, content: string]>): ReadonlyArray<ThreadMessage> =>
  steps.map(([role, content], index) => ({ round: index + 1, role, content, meta: null, timestamp: index }))

const withImports = (text: string) =>
  `import { Adapter, Role, Workflow } from "@nerve/core"\nimport { Effect, Schema } from "effect"\n${text}`

/** A host for `workflows/w/index.ts` of this text, in a workspace of its own. */
const host = Effect.fnUntraced(function* (
  text: string,
  options: { readonly files?: Record<string, string>; readonly agents?: WorkflowWorkerInit["agents"] } = {}
) {
  const workspace = yield* makeWorkspace({ "workflows/w/index.ts": withImports(text), ...options.files })
  const scope = yield* Scope.Scope
  let built = 0
  const outside = Effect.suspend(() => {
    built++
    return Layer.buildWithScope(layer, scope)
  })
  const made = yield* WorkflowHost.make(
    { workflow: name, workspace, agents: options.agents ?? {}, extract: null },
    outside
  ).pipe(withNativeImport)
  return {
    workspace,
    ready: made.ready,
    built: () => built,
    round: (steps: ReadonlyArray<ThreadMessage> = [], changed: Partial<ThreadStart> = {}) =>
      made.handlers.RunRound({ start: { ...start, ...changed }, steps }),
    on: (version: string) => made.handlers.RunRound({ start, steps: [], version }),
    check: (role: string, answer: Schema.Json) => made.handlers.CheckAnswer({ role, answer }),
    stop: (threadId: ThreadId) => made.handlers.StopRound({ threadId })
  }
})

/** A workflow of one role, `r`, that runs this expression. */
const single = (role: string) => `
export default Workflow.make({ roles: { r: ${role} }, moderator: Workflow.sequence("r") })
`

describe("WorkflowHost", () => {
  it.live("stops a thread's round, and says so only when the role has given way (M8)", () =>
    Effect.gen(function* () {
      const { round, stop, workspace } = yield* host(
        single(`Role.make(async (_context, { signal, workspace }) => {
          writeFileSync(workspace + "/began", "")
          await new Promise((resolve) => signal.addEventListener("abort", resolve))
          await new Promise((resolve) => setTimeout(resolve, 50))
          writeFileSync(workspace + "/gave-way", "")
          return "late"
        })`).replace("export default", 'import { writeFileSync } from "node:fs"\nexport default')
      )
      expect(yield* stop(start.threadId)).toBe(false)
      const running = yield* Effect.forkChild(Effect.exit(round()))
      yield* Effect.sync(() => existsSync(join(workspace, "began"))).pipe(
        Effect.repeat({ until: (began: boolean) => began, schedule: Schedule.spaced("5 millis") })
      )
      expect(yield* stop(start.threadId)).toBe(true)
      expect(existsSync(join(workspace, "gave-way"))).toBe(true)
      yield* Fiber.await(running)
      expect(yield* stop(start.threadId)).toBe(false)
    })
  )

  it.live("runs the role that the moderator names, with the conversation so far, until END", () =>
    Effect.gen(function* () {
      const { ready, round } = yield* host(`
        export default Workflow.make({
          roles: {
            collector: Role.make(({ start, threadId }) => "looked: " + start.prompt + " in " + threadId),
            judge: Role.make(async ({ steps }, { role }) => ({
              content: role + " heard: " + steps.at(-1)?.content,
              meta: { rounds: steps.length }
            }))
          },
          moderator: ({ steps }) => steps.length === 0 ? "collector" : steps.length === 1 ? "judge" : Workflow.END
        })
      `)
      expect(ready).toMatchObject({ roles: ["collector", "judge"], problem: null })
      expect(yield* round()).toMatchObject({
        _tag: "Spoke",
        role: "collector",
        content: "looked: go in t1",
        meta: null
      })
      expect(yield* round(spoke(["collector", "x"]))).toMatchObject({
        _tag: "Spoke",
        role: "judge",
        content: "judge heard: x",
        meta: { rounds: 1 }
      })
      expect(yield* round(spoke(["collector", "x"], ["judge", "y"]))).toEqual({ _tag: "Ended" })
    })
  )

  it.live("asks the moderator once more after the last round, and runs no role then", () =>
    Effect.gen(function* () {
      const { round } = yield* host(`
        export default Workflow.make({
          roles: { r: Role.make(() => { throw new Error("not to be run") }) },
          moderator: ({ start, steps }) => steps.length < Number(start.prompt) ? "r" : Workflow.END
        })
      `)
      const steps = spoke(["r", "x"], ["r", "y"])
      expect(yield* round(steps, { maxRounds: 2, prompt: "2" })).toEqual({ _tag: "Ended" })
      expect(yield* round(steps, { maxRounds: 2, prompt: "3" })).toEqual({ _tag: "Exhausted" })
    })
  )

  it.live("tells what a round took, that of adapters made of others once, also when the role fails", () =>
    Effect.gen(function* () {
      const { round } = yield* host(`
        const usage = (n) => Adapter.usage({ inputTokens: n, outputTokens: 1, costUsd: n / 4 })
        const inner = Adapter.make("inner", () => Effect.succeed({ content: "no json", usage: usage(2) }))
        const outer = Adapter.make("outer", (request) => inner.run(request))
        export default Workflow.make({
          roles: {
            plain: Role.make(() => Effect.as(Effect.all([inner.run({}), outer.run({})]), "twice")),
            free: Role.make(() => "nothing"),
            failing: Role.fromAdapter({ adapter: outer, prompt: "", retries: 2, meta: Schema.Struct({ a: Schema.String }) })
          },
          moderator: Workflow.sequence("plain", "free", "failing")
        })
      `)
      const usage = (calls: number) => ({ calls, inputTokens: 2 * calls, outputTokens: calls, costUsd: calls / 2 })
      expect(yield* round()).toMatchObject({ content: "twice", durationMs: expect.any(Number), usage: usage(2) })
      expect(yield* round(spoke(["plain", "x"]))).not.toHaveProperty("usage")
      const failed = yield* Effect.flip(round(spoke(["plain", "x"], ["free", "y"])))
      expect(failed).toMatchObject({ _tag: "RoleFailed", durationMs: expect.any(Number), usage: usage(3) })
    })
  )

  it.live("gives roles commands, HTTP, the workspace and the agents of nerve.yaml", () =>
    Effect.gen(function* () {
      const server = yield* Effect.acquireRelease(
        Effect.callback<Http.Server>((resume) => {
          const server = Http.createServer((_, response) => {
            response.end(JSON.stringify({ choices: [{ message: { content: "from the endpoint" } }] }))
          })
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => void server.close().closeAllConnections())
      )
      const { port } = server.address() as AddressInfo
      const { built, round, workspace } = yield* host(
        `
        const openai = Adapter.openai({ baseUrl: "http://127.0.0.1:${port}/v1", apiKey: null, model: "m" })
        export default Workflow.make({
          roles: {
            command: Role.fromAdapter({ adapter: Adapter.command({ command: "pwd" }), prompt: "" }),
            http: Role.fromAdapter({ adapter: openai, prompt: "say" }),
            agent: Role.fromAdapter({ adapter: Adapter.agent("quick"), prompt: "hello" }),
            effect: Role.make(() => Effect.map(Role.Info, (info) => info.workflow + " " + info.workspace))
          },
          moderator: Workflow.sequence("command", "http", "agent", "effect")
        })
      `,
        { agents: { quick: { type: "scripted", model: null, timeoutMs: null } } }
      )
      expect(built()).toBe(0)
      const contents: Array<string> = []
      while (contents.length < 4) {
        const outcome = yield* round(spoke(...contents.map((content) => ["r", content] as const)))
        contents.push(outcome._tag === "Spoke" ? outcome.content : "ended")
      }
      expect(contents).toEqual([workspace, "from the endpoint", "hello", `w ${workspace}`])
      expect(built()).toBe(1)
    })
  )

  it.live("says what a role waits for, and checks answers by the role's Schema", () =>
    Effect.gen(function* () {
      const approval = `Role.approval({
        question: ({ start }) => "Really " + start.prompt + "?",
        answer: Schema.Struct({ amount: Schema.Int }),
        timeout: "1 hour"
      })`
      const { check, round } = yield* host(single(approval))
      expect(yield* round()).toMatchObject({
        _tag: "Waits",
        role: "r",
        request: { _tag: "Approval", question: "Really go?", timeoutMs: 3_600_000, schema: { type: "object" } }
      })
      expect(yield* check("r", { amount: 3 })).toEqual({ amount: 3 })
      const refused = yield* Effect.flip(check("r", { amount: "three" }))
      expect(refused).toMatchObject({ _tag: "AnswerRefused", path: "answer.amount" })
      expect((yield* Effect.flip(check("x", null)))._tag).toBe("UnknownRole")
      expect(yield* round([], { dryRun: true })).toMatchObject({
        _tag: "Spoke",
        meta: { decision: "approved", by: "" }
      })

      const sleeper = yield* host(single(`Role.sleep({ until: ({ steps }) => 1000 + steps.length })`))
      expect(yield* sleeper.round()).toMatchObject({ _tag: "Waits", request: { _tag: "Sleep", until: 1000 } })
      const parent = yield* host(single(`Role.child({ workflow: "other", prompt: "x", maxRounds: 3 })`))
      expect(yield* parent.round()).toMatchObject({ request: { _tag: "Child", workflow: "other", maxRounds: 3 } })
      const broken = yield* host(single(`Role.child({ workflow: () => { throw new Error("no name") }, prompt: "x" })`))
      expect(yield* Effect.flip(broken.round())).toMatchObject({ _tag: "RoleFailed", message: "no name" })
    })
  )

  it.live("refuses a thread that began on other code, and pauses one whose role asks for it", () =>
    Effect.gen(function* () {
      const { on, ready, round } = yield* host(
        single(`Role.make(() => Effect.fail(new Role.PauseThread({ reason: "the budget is spent" })))`)
      )
      expect(yield* round()).toMatchObject({ _tag: "Pauses", role: "r", reason: "the budget is spent" })
      expect(yield* Effect.flip(on("v0"))).toMatchObject({ _tag: "CodeChanged", expected: "v0", found: ready.version })
      expect((yield* on(ready.version ?? ""))._tag).toBe("Pauses")
    })
  )

  it.live("runs no role in a dry run, and the moderator as ever", () =>
    Effect.gen(function* () {
      const { round } = yield* host(
        single(`Role.fromAdapter({ adapter: Adapter.command({ command: "false" }), prompt: "p" })`)
      )
      expect(yield* round([], { dryRun: true })).toMatchObject({
        _tag: "Spoke",
        role: "r",
        content: "[dry run] r (adapter false) was not run",
        meta: null
      })
      expect(yield* round(spoke(["r", ""]), { dryRun: true })).toMatchObject({ _tag: "Ended" })
    })
  )

  describe("a moderator", () => {
    it.live("that names a role which is not there is told so", () =>
      Effect.gen(function* () {
        const { round } = yield* host(`
          const answers = ["nobody", "toString", 7, Promise.resolve("r")]
          const moderator = ({ steps }) => answers[steps.length]
          export default Workflow.make({ roles: { r: Role.make(() => "") }, moderator })
        `)
        const steps = spoke(["r", ""], ["r", ""], ["r", ""])
        const errors = []
        for (const count of [0, 1, 2, 3]) errors.push(yield* Effect.flip(round(steps.slice(0, count))))
        expect(errors[0]).toMatchObject({ _tag: "UnknownRole", role: "nobody", known: ["r"] })
        expect(errors[1]).toMatchObject({ _tag: "UnknownRole", role: "toString" })
        expect(errors[2]).toMatchObject({ _tag: "ModeratorFailed", message: expect.stringContaining("a number") })
        expect(errors[3]).toMatchObject({ _tag: "ModeratorFailed", message: expect.stringContaining("a promise") })
      })
    )

    it.live("that throws fails the round, and says where", () =>
      Effect.gen(function* () {
        const { round } = yield* host(`
          const moderator = () => { throw new Error("undecided") }
          export default Workflow.make({ roles: { r: Role.make(() => "") }, moderator })
        `)
        const error = yield* Effect.flip(round())
        expect(error).toMatchObject({ _tag: "ModeratorFailed", message: "undecided" })
        expect(error).toHaveProperty("stack", expect.stringContaining("workflows/w/index.ts:4:"))
      })
    )
  })

  describe("a role", () => {
    it.live("that throws, rejects, fails or interrupts itself fails the round", () =>
      Effect.gen(function* () {
        const roles = [
          ["Role.make(() => { throw new Error('no ps') })", "no ps"],
          ["Role.make(() => Promise.reject(new TypeError('no df')))", "TypeError: no df"],
          ["Role.make(() => Promise.reject('just text'))", "just text"],
          ["Role.make(() => Effect.fail(new Error('no luck')))", "no luck"],
          ["Role.make(() => Effect.interrupt)", "the fiber interrupted itself"],
          [
            "Role.fromAdapter({ adapter: Adapter.echo, prompt: 'x', meta: Schema.Struct({ a: Schema.Int }), retries: 0 })",
            "the answer of r is unusable after 1 attempt: meta.a: "
          ],
          ["Role.fromAdapter({ adapter: Adapter.agent('who'), prompt: '' })", "agent who: nerve.yaml has no agents.who"]
        ] as const
        for (const [role, message] of roles) {
          const { round } = yield* host(single(role))
          const error = yield* Effect.flip(round())
          expect(error).toMatchObject({ _tag: "RoleFailed", role: "r" })
          expect(error.message.slice(0, message.length)).toBe(message)
        }
      })
    )

    it.live("that throws says where, in the user's files alone", () =>
      Effect.gen(function* () {
        const { round, workspace } = yield* host(
          "import { read } from './read.ts'\n" + single("Role.make(() => read())"),
          {
            files: {
              "workflows/w/read.ts": "export const read = (): string => {\n  throw new Error('cannot read')\n}\n"
            }
          }
        )
        const error = yield* Effect.flip(round())
        const { stack } = error as { readonly stack: string | null }
        expect(stack?.split("\n")[0]).toContain("workflows/w/read.ts:2:")
        expect(stack).not.toContain(workspace)
        expect(stack).not.toContain("node_modules")
      })
    )

    it.live("that answers something else is told what an answer is", () =>
      Effect.gen(function* () {
        const answers = [
          ["undefined", "this one is undefined"],
          ["7", "this one is a number"],
          ["({ content: 7 })", "the content of this one is a number"],
          ["({ content: '', meta: { when: new Date(0) } })", "in this one meta.when is a Date"],
          ["({ content: '', meta: { deep: [1, NaN] } })", "in this one meta.deep.1 is NaN"],
          ["({ content: '', meta: { a: undefined } })", "in this one meta.a is undefined"],
          [
            "(() => { const meta = {}; meta.me = meta; return { content: '', meta } })()",
            "in this one meta is not JSON"
          ],
          ["({ content: 'x'.repeat(1_000_001) })", "the answer is longer than 1000000 characters"]
        ] as const
        for (const [answer, message] of answers) {
          const { round } = yield* host(single(`Role.make((): any => (${answer}))`))
          const error = yield* Effect.flip(round())
          expect(error).toMatchObject({ _tag: "RoleFailed", role: "r" })
          expect(error.message).toContain(message)
        }
      })
    )

    it.live("is aborted when the round is interrupted, and the round ends when its code has", () =>
      Effect.gen(function* () {
        const { round, workspace } = yield* host(
          "import { writeFileSync } from 'node:fs'\n" +
            single(`Role.make((_, { signal, workspace }) =>
            new Promise((resolve) => {
              signal.addEventListener("abort", () => setImmediate(() => {
                writeFileSync(workspace + "/aborted", "yes")
                resolve("too late")
              }))
              writeFileSync(workspace + "/started", "yes")
            })
          )`)
        )
        const fiber = yield* Effect.forkChild(round())
        yield* Effect.promise(() => expect.poll(() => existsSync(join(workspace, "started"))).toBe(true))
        yield* Fiber.interrupt(fiber)
        expect(readFileSync(join(workspace, "aborted"), "utf8")).toBe("yes")
        expect(Exit.hasInterrupts(yield* Fiber.await(fiber))).toBe(true)
      })
    )
  })

  describe("a workflow that does not load", () => {
    const modules = [
      ["throws on import", "throw new Error('bad day')", "import-failed", "bad day"],
      ["has no default export", "export const workflow = 1", "export-missing", "no default export"],
      ["exports something else", "export default { roles: {} }", "wrong-shape", "not a workflow"],
      ["has no moderator", "export default Workflow.make({ roles: {} } as any)", "wrong-shape", "the moderator of"],
      [
        "has a role that is none",
        "export default Workflow.make({ roles: { r: () => '' }, moderator: () => 'r' } as any)",
        "wrong-shape",
        "the role r of workflows/w/index.ts is a function, not a role"
      ],
      [
        "has no roles",
        "export default Workflow.make({ moderator: () => 'r' } as any)",
        "wrong-shape",
        "the roles of workflows/w/index.ts are undefined"
      ]
    ] as const

    for (const [what, text, code, message] of modules) {
      it.live(`because it ${what} says so when it is ready, and for each round`, () =>
        Effect.gen(function* () {
          const { ready, round } = yield* host(text)
          expect(ready).toMatchObject({ roles: [], problem: { code, file: "workflows/w/index.ts" } })
          expect(ready.problem?.message).toContain(message)
          expect(yield* Effect.flip(round())).toMatchObject({ _tag: "WorkflowUnavailable", problem: { code } })
        })
      )
    }
  })
})
