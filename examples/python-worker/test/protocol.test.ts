/** The worker's side of the protocol, spoken with by hand, frame by frame. */
import { assert, describe, it } from "@effect/vitest"
import * as Frame from "@nerve/core/wire/Frame"
import { Effect } from "effect"
import { python, type Session, session } from "./python.ts"

const init = { t: "init", key: "k", incarnation: 3, init: { a: "ü" } }
const call = (id: number, method: string, payload: unknown = null) => ({ t: "call", id, method, payload })

/** A worker that has said it is ready. */
const ready = Effect.gen(function* () {
  const opened = yield* session("test/fixture.py")
  opened.send(init)
  assert.deepStrictEqual(yield* opened.next, {
    t: "ready",
    v: Frame.protocolVersion,
    info: { pid: opened.child.pid },
    ping: true
  })
  return opened
})

const test = (body: (opened: Session) => Effect.Effect<void>) => () => Effect.scoped(Effect.flatMap(ready, body))

describe.skipIf(python === undefined)("nerve_worker.py on its pipe", () => {
  it.live(
    "answers a ping from the loop that serves the calls, with how long that was held up",
    test(({ next, send }) =>
      Effect.gen(function* () {
        send({ t: "ping", n: 7 })
        const pong = Frame.fromWorker(yield* next)
        assert.deepInclude(pong, { t: "pong", n: 7 })
        assert.isTrue(typeof pong === "object" && pong.t === "pong" && typeof pong.delayMs === "number")
      })
    )
  )

  it.live(
    "sends as many chunks as the window holds, then as many as are acknowledged",
    test(({ next, send }) =>
      Effect.gen(function* () {
        send(call(1, "Count", { to: 1000 }))
        for (let n = 0; n < Frame.streamWindow; n++) {
          assert.deepStrictEqual(yield* next, { t: "chunk", id: 1, values: [n] })
        }
        // Had it run on, its chunks would come before this answer. It has not even computed the next item.
        send(call(2, "Counters"))
        assert.deepInclude(yield* next, { t: "done", id: 2, value: { produced: 64, closed: 0, cancelled: 0 } })
        send({ t: "ack", id: 1, n: 2 }, { t: "ack", id: 1, n: 1 })
        for (const n of [64, 65, 66]) assert.deepStrictEqual(yield* next, { t: "chunk", id: 1, values: [n] })
        send(call(3, "Counters"))
        assert.deepInclude(yield* next, { t: "done", id: 3, value: { produced: 67, closed: 0, cancelled: 0 } })
        send({ t: "cancel", id: 1 })
        assert.deepStrictEqual(yield* next, { t: "interrupted", id: 1 })
        send(call(4, "Counters"))
        assert.deepInclude(yield* next, { t: "done", id: 4, value: { produced: 67, closed: 1, cancelled: 0 } })
      })
    )
  )

  it.live(
    "waits with large chunks once 256 KiB are not acknowledged",
    test(({ next, send }) =>
      Effect.gen(function* () {
        send(call(1, "Wide", { to: 10, size: 100_000 }))
        for (let n = 0; n < 3; n++) assert.deepInclude(yield* next, { t: "chunk", id: 1 })
        send(call(2, "Counters"))
        assert.deepInclude(yield* next, { t: "done", id: 2, value: { produced: 3, closed: 0, cancelled: 0 } })
        send({ t: "ack", id: 1, n: 2 })
        for (let n = 0; n < 2; n++) assert.deepInclude(yield* next, { t: "chunk", id: 1 })
        send({ t: "cancel", id: 1 })
        assert.deepStrictEqual(yield* next, { t: "interrupted", id: 1 })
      })
    )
  )

  it.live(
    "answers every call once, whatever becomes of it, and tells of frames that it does not know",
    test(({ next, send }) =>
      Effect.gen(function* () {
        // Cancelled before it has begun, cancelled when it is over, acknowledged when it is over.
        send(call(1, "Wait"), { t: "cancel", id: 1 })
        assert.deepStrictEqual(yield* next, { t: "interrupted", id: 1 })
        send({ t: "cancel", id: 1 }, { t: "ack", id: 1, n: 1 }, { t: "cancel", id: 99 })
        send(call(2, "Nowhere"))
        assert.deepStrictEqual(yield* next, { t: "reject", id: 2, detail: 'this worker has no method "Nowhere"' })
        send({ t: "later", id: 3 })
        assert.deepInclude(yield* next, { t: "log", message: "a frame of an unknown kind was ignored: later" })
        send(call(4, "Init"))
        assert.deepStrictEqual(yield* next, {
          t: "done",
          id: 4,
          value: { key: "k", incarnation: 3, init: { a: "ü" } }
        })
      })
    )
  )

  it.live(
    "on stop it cancels what runs, answers it and exits with code 0",
    test(({ exit, next, send }) =>
      Effect.gen(function* () {
        send(call(1, "Wait"), call(2, "Count", { to: 65 }))
        assert.deepInclude(yield* next, { t: "log", message: "waiting" })
        for (let n = 0; n < Frame.streamWindow; n++) assert.deepInclude(yield* next, { t: "chunk", id: 2 })
        send({ t: "stop" })
        const last = [yield* next, yield* next, yield* next]
        assert.sameDeepMembers(
          last.filter((frame) => frame["t"] !== "log"),
          [
            { t: "interrupted", id: 1 },
            { t: "interrupted", id: 2 }
          ]
        )
        assert.deepStrictEqual(yield* exit, { code: 0, signal: null })
      })
    )
  )

  it.live(
    "when the pipe ends it cancels what runs and exits",
    test(({ child, exit, next, send }) =>
      Effect.gen(function* () {
        send(call(1, "Wait"))
        assert.deepInclude(yield* next, { t: "log", message: "waiting" })
        child.stdin.end()
        assert.deepInclude(yield* next, { t: "log", message: "cancelled" })
        assert.deepStrictEqual(yield* exit, { code: 0, signal: null })
      })
    )
  )

  it.live(
    "when the pipe ends it exits by force, even while a handler blocks the event loop",
    test(({ child, exit, next, send }) =>
      Effect.gen(function* () {
        send(call(1, "Block"))
        assert.deepInclude(yield* next, { t: "log", message: "blocking" })
        child.stdin.end()
        assert.deepStrictEqual(yield* exit, { code: 1, signal: null })
      })
    )
  )

  it.live("exits when the pipe ends before anything was said", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { child, exit } = yield* session("test/fixture.py")
        child.stdin.end()
        assert.deepStrictEqual(yield* exit, { code: 0, signal: null })
      })
    )
  )
})
