/** The worker as its parent sees it: frames in, frames out. */
import { describe, expect, it } from "@effect/vitest"
import * as Worker from "@nerve/runtime/ipc/Worker"
import * as MemoryChannel from "@nerve/runtime/testing/MemoryChannel"
import { Effect, Fiber, Queue, type Schema } from "effect"
import { main } from "../../src/workflow/workflowWorker.ts"
import { makeWorkspace, withNativeImport } from "../user/workspace.ts"

const start = { threadId: "t1", workflow: "w", prompt: "go", maxRounds: 20, dryRun: false }

/** A worker for this workspace, the frames it sends, and a way to send it some. */
const worker = Effect.fnUntraced(function* (init: Schema.Json) {
  const { parent, worker: channel } = MemoryChannel.makePairUnsafe()
  const frames = yield* Queue.unbounded<unknown>()
  parent.onFrameUnsafe((frame) => Queue.offerUnsafe(frames, frame))
  const fiber = yield* main.pipe(
    Effect.provideService(Worker.WorkerPort, { channel, key: "w", incarnation: 1, init }),
    withNativeImport,
    Effect.forkScoped
  )
  return { next: Queue.take(frames), send: (frame: unknown) => parent.sendUnsafe(frame), fiber }
})

describe("workflowWorker", () => {
  it.live("says which roles it has, answers rounds, passes log lines on, and stops when asked", () =>
    Effect.gen(function* () {
      const workspace = yield* makeWorkspace({
        "workflows/w/index.ts": `
          import { Adapter, Role, Workflow } from "@nerve/core"
          import { Effect } from "effect"
          export default Workflow.make({
            roles: {
              speaker: Role.fromAdapter({ adapter: Adapter.command({ command: "cat" }), prompt: "hello" }),
              logger: Role.make(() => Effect.as(Effect.log("said it"), "logged")),
              broken: Role.make(() => { throw new Error("broken") })
            },
            moderator: Workflow.sequence("speaker", "logger", "broken")
          })
        `
      })
      const { fiber, next, send } = yield* worker({ workflow: "w", workspace, agents: {}, extract: null })
      expect(yield* next).toMatchObject({
        t: "ready",
        v: 1,
        info: { roles: ["speaker", "logger", "broken"], problem: null },
        ping: true
      })
      const step = (round: number) => ({ round, role: "r", content: "", meta: null, timestamp: 0 })
      send({ t: "call", id: 1, method: "RunRound", payload: { start, steps: [] } })
      const spoke = { _tag: "Spoke", role: "speaker", content: "hello", meta: null, durationMs: expect.any(Number) }
      expect(yield* next).toMatchObject({ t: "done", id: 1, value: spoke })
      send({ t: "call", id: 2, method: "RunRound", payload: { start, steps: [step(1)] } })
      expect(yield* next).toMatchObject({ t: "log", message: "said it" })
      expect(yield* next).toMatchObject({ t: "done", id: 2, value: { content: "logged" } })
      send({ t: "call", id: 3, method: "RunRound", payload: { start, steps: [step(1), step(2)] } })
      expect(yield* next).toMatchObject({ t: "fail", id: 3, error: { _tag: "RoleFailed", message: "broken" } })
      send({ t: "call", id: 4, method: "RunRound", payload: { start } })
      expect(yield* next).toMatchObject({ t: "reject", id: 4 })
      send({ t: "stop" })
      yield* Fiber.join(fiber)
    })
  )

  it.live("is ready with the problem of a workflow that is not there", () =>
    Effect.gen(function* () {
      const workspace = yield* makeWorkspace({})
      const { next, send } = yield* worker({ workflow: "w", workspace, agents: {}, extract: null })
      expect(yield* next).toMatchObject({ t: "ready", info: { roles: [], problem: { code: "module-missing" } } })
      send({ t: "call", id: 1, method: "RunRound", payload: { start, steps: [] } })
      expect(yield* next).toMatchObject({ t: "fail", id: 1, error: { _tag: "WorkflowUnavailable" } })
    })
  )
})
