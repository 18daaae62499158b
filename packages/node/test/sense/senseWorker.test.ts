/** The sense worker as assembled: frames in, frames out, over a channel in memory (S1, S7). */
import { describe, expect, it } from "@effect/vitest"
import type { Channel } from "@nerve/runtime/ipc/Channel"
import { WorkerPort } from "@nerve/runtime/ipc/Worker"
import { Effect, Fiber, Queue } from "effect"
import { main } from "../../src/sense/senseWorker.ts"
import { makeWorkspace, withNativeImport } from "../user/workspace.ts"
import { plainSense } from "./senses.ts"

/** The worker's end of a channel, and the parent's hands on it. */
const makeChannel = Effect.gen(function* () {
  const sent = yield* Queue.unbounded<unknown>()
  let receive: (frame: unknown) => void = () => {}
  const channel: Channel = {
    sendUnsafe: (frame) => (Queue.offerUnsafe(sent, frame) ? "sent" : "ended"),
    flushUnsafe: () => {},
    drained: Effect.void,
    isFullUnsafe: () => false,
    onFrameUnsafe: (listener) => {
      receive = listener
    },
    onEndUnsafe: () => {},
    pauseUnsafe: () => {},
    resumeUnsafe: () => {},
    closeUnsafe: () => {}
  }
  return { channel, next: Queue.take(sent), send: (frame: unknown) => receive(frame) }
})

describe("senseWorker", () => {
  it.live("reports ready with each sense's state, answers computes, sends log lines, stops when asked", () =>
    Effect.gen(function* () {
      const workspace = yield* makeWorkspace({
        "senses/a.ts": plainSense(`context.log("here"); return Sense.signal({ n: 1 })`)
      })
      const { channel, next, send } = yield* makeChannel
      const init = {
        group: "g",
        workspace,
        senses: [
          { name: "a", timeoutMs: 1_000 },
          { name: "gone", timeoutMs: 1_000 }
        ],
        peers: ["a", "gone"]
      }
      const worker = yield* main.pipe(
        withNativeImport,
        Effect.provideService(WorkerPort, { channel, key: "g", incarnation: 1, init }),
        Effect.forkChild
      )
      expect(yield* next).toMatchObject({
        t: "ready",
        info: {
          senses: [
            { name: "a", problem: null },
            { name: "gone", problem: { code: "module-missing" } }
          ]
        }
      })
      send({ t: "call", id: 1, method: "RunCompute", payload: { sense: "a" } })
      expect(yield* next).toEqual({ t: "log", level: "Info", message: "here", fields: { sense: "a" } })
      expect(yield* next).toMatchObject({ t: "done", id: 1, value: { _tag: "Signal", value: { n: 1 }, launches: [] } })
      send({ t: "call", id: 2, method: "RunCompute", payload: {} })
      expect(yield* next).toMatchObject({ t: "reject", id: 2 })
      send({ t: "call", id: 3, method: "RunCompute", payload: { sense: "gone" } })
      expect(yield* next).toMatchObject({ t: "fail", id: 3, error: { _tag: "SenseUnavailable", sense: "gone" } })
      send({ t: "stop" })
      yield* Fiber.join(worker)
    })
  )
})
