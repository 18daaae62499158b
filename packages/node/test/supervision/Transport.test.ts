/** An executable that speaks the documented protocol is a worker, over either transport (P7). */
import { assert, describe, it } from "@effect/vitest"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import type { WorkerEvent } from "@nerve/runtime/supervision/WorkerEvent"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Effect, Queue } from "effect"
import { fileURLToPath } from "node:url"
import { EchoRpcs } from "./EchoRpcs.ts"

const fixture = fileURLToPath(new URL("./handmade.fixture.mjs", import.meta.url))

type Event = WorkerEvent<string>

const setup = (transport: WorkerSpec.Transport, args: ReadonlyArray<string> = []) =>
  Effect.gen(function* () {
    const events = yield* Queue.unbounded<Event>()
    const runtime = yield* WorkerRuntime.make({
      rpcs: EchoRpcs,
      worker: () => WorkerSpec.command(process.execPath, [fixture, transport, ...args], { transport, env: { A: "b" } }),
      respawn: RespawnPolicy.intensity({ max: 4, within: "60 seconds" }),
      onEvent: (event) => Queue.offer(events, event)
    })
    /** Why the next process went. */
    const reason = Effect.gen(function* () {
      for (;;) {
        const event = yield* Queue.take(events)
        if (event._tag === "WorkerExited") return event.reason
      }
    })
    /** The next `n` lines of output, by stream. */
    const output = (n: number) =>
      Effect.gen(function* () {
        const lines: Array<string> = []
        while (lines.length < n) {
          const event = yield* Queue.take(events)
          if (event._tag === "WorkerOutput") lines.push(`${event.stream}: ${event.line}`)
        }
        return lines
      })
    return { runtime, client: yield* runtime.client("a"), reason, output }
  })

const places: Readonly<Record<WorkerSpec.Transport, string>> = {
  fd3: "",
  stdio: " on stdout (which carries the protocol)"
}

describe.each(["fd3", "stdio"] as const)("a command over %s", (transport) => {
  const test =
    <E>(body: Effect.Effect<void, E, Effect.Services<ReturnType<typeof setup>>>) =>
    () =>
      Effect.scoped(body).pipe(Effect.provide(NodeSpawner.layer()))

  it.live(
    "answers, is captured, and goes when it is asked to",
    test(
      Effect.gen(function* () {
        const { client, output, reason, runtime } = yield* setup(transport)
        const text = `grüße, 世界 🎉 \u2028 \n ${"x".repeat(3_000_000)}`
        assert.strictEqual(yield* client.Echo({ text }), text)
        const environment = yield* client.Environment()
        assert.deepInclude(environment, { A: "b", NERVE_WORKER_KEY: "a", NERVE_INCARNATION: "1" })
        yield* client.Talk({ text: "1" })
        const captured =
          transport === "fd3" ? ["stdout: out 1", "stderr: err 1", "log: log 1"] : ["stderr: err 1", "log: log 1"]
        assert.sameMembers(yield* output(captured.length), captured)
        yield* runtime.evict("a")
        assert.include(yield* reason, "ask: ")
      })
    )
  )

  it.live(
    "ends when it writes what is no JSON, or no end of it, and the reason says where",
    test(
      Effect.gen(function* () {
        const { client, reason } = yield* setup(transport)
        assert.deepInclude(yield* Effect.flip(client.WriteRaw({ text: "hello\n", times: 1 })), { _tag: "WorkerDied" })
        assert.include(yield* reason, `a line${places[transport]} that is not JSON: hello`)
        yield* Effect.flip(client.WriteRaw({ text: "x".repeat(65_536), times: 80 }))
        assert.include(yield* reason, `a frame${places[transport]} of more than 4194304 bytes`)
        assert.strictEqual(yield* client.Echo({ text: "still" }), "still")
      })
    )
  )

  it.live(
    "is killed when it closes its pipe and stays",
    test(
      Effect.gen(function* () {
        const { client, reason } = yield* setup(transport)
        assert.deepInclude(yield* Effect.flip(client.Never()), { exit: { code: null, signal: "SIGKILL" } })
        assert.include(yield* reason, "it closed its channel and did not exit")
      })
    )
  )

  it.live(
    "is killed when it speaks another version",
    test(
      Effect.gen(function* () {
        const { client, reason } = yield* setup(transport, ["2"])
        assert.deepInclude(yield* Effect.flip(client.Echo({ text: "" })), { _tag: "RespawnLimitReached" })
        assert.include(yield* reason, "it speaks version 2 of the protocol, not 1")
      })
    )
  )
})

it.live(
  "a command that prints to stdout what is no JSON and exits at once has broken the protocol, each time",
  () =>
    Effect.scoped(
      Effect.gen(function* () {
        const reasons: Array<string> = []
        const runtime = yield* WorkerRuntime.make({
          rpcs: EchoRpcs,
          worker: () => WorkerSpec.command("/bin/echo", ["hello"], { transport: "stdio" }),
          respawn: RespawnPolicy.intensity({ max: 50, within: "1 hour" }),
          onEvent: (event) =>
            Effect.sync(() => {
              if (event._tag === "WorkerExited") reasons.push(event.reason)
            })
        })
        assert.deepInclude(yield* Effect.flip(runtime.start("a")), { _tag: "RespawnLimitReached" })
        assert.lengthOf(reasons, 50)
        const others = reasons.filter((reason) => !reason.includes("that is not JSON: hello"))
        assert.deepStrictEqual(others, [])
      })
    ).pipe(Effect.provide(NodeSpawner.layer())),
  60_000
)
