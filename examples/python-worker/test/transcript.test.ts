/** The session that docs/ipc.md shows is what really passes between the daemon and `worker.py`. */
import { assert, describe, it } from "@effect/vitest"
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Effect, Fiber, Latch, Schema, Stream } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { file, python } from "./python.ts"

class NegativeNumber extends Schema.TaggedError<NegativeNumber>()("NegativeNumber", { of: Schema.Finite }) {}

const Mathematics = RpcGroup.make(
  Rpc.make("Sqrt", { payload: { of: Schema.Finite }, success: Schema.Finite, error: NegativeNumber }),
  Rpc.make("Primes", { payload: { below: Schema.Int }, success: Schema.Int, stream: true }),
  Rpc.make("Sleep", { payload: { seconds: Schema.Finite } })
)

/** A whole life of a worker, as `record.py` between the two wrote it down. */
const record = (path: string) =>
  Effect.scoped(
    Effect.gen(function* () {
      const woken = Latch.makeUnsafe(false)
      const runtime = yield* WorkerRuntime.make({
        rpcs: Mathematics,
        worker: () =>
          WorkerSpec.command(
            python ?? "python3",
            [file("test/record.py"), path, python ?? "python3", file("worker.py")],
            { transport: "stdio", init: { precision: 15 } }
          ),
        onEvent: (event) =>
          Effect.sync(() => void (event._tag === "WorkerOutput" && event.stream === "log" && woken.openUnsafe()))
      })
      const worker = yield* runtime.client("mathematics")
      yield* worker.Sqrt({ of: 2 })
      yield* Effect.flip(worker.Sqrt({ of: -4 }))
      yield* Stream.runDrain(worker.Primes({ below: 12 }))
      yield* Effect.flip(Stream.runDrain(worker.Primes({ below: 20_000_000 })))
      const sleeping = yield* Effect.forkChild(worker.Sleep({ seconds: 60 }), { startImmediately: true })
      // The answer to a later call shows that the worker has begun to sleep.
      yield* worker.Sqrt({ of: 9 })
      yield* Fiber.interrupt(sleeping)
      yield* woken.await
      yield* runtime.evict("mathematics")
    })
  ).pipe(Effect.provide(NodeSpawner.layer()))

const linesOf = (text: string): ReadonlyArray<string> =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.replace(/"python":"[^"]*"/, '"python":"3.x"'))

/** How many acknowledgements there are depends on how fast the reader is: those that come after the end are not sent. */
const isAck = (line: string): boolean => line.startsWith('> {"t":"ack"')

const chapter = readFileSync(new URL("../../../docs/ipc.md", import.meta.url), "utf8")

describe.skipIf(python === undefined)("docs/ipc.md", () => {
  it.live("shows a session as it really is", () =>
    Effect.gen(function* () {
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "nerve-transcript-"))),
        (path) => Effect.sync(() => rmSync(path, { recursive: true }))
      )
      const path = join(folder, "session")
      yield* record(path)
      const real = linesOf(readFileSync(path, "utf8"))
      const shown = linesOf(/```text session\n([\s\S]*?)```/.exec(chapter)?.[1] ?? "")
      // Between the directions the order is a matter of time, within one it is not.
      for (const mark of [">", "<"]) {
        const of = (lines: ReadonlyArray<string>) => lines.filter((line) => line.startsWith(mark) && !isAck(line))
        assert.deepStrictEqual(of(shown), of(real), `the session was:\n${real.join("\n")}`)
      }
      for (const line of [...shown, ...real].filter(isAck)) assert.strictEqual(line, '> {"t":"ack","id":3,"n":1}')
      assert.isAtMost(real.filter(isAck).length, 5)
      assert.strictEqual(shown.filter(isAck).length, 5)
    }).pipe(Effect.scoped)
  )
})
