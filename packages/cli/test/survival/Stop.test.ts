/**
 * A graceful stop, in each of the ways to ask for it: what runs is finished, and nothing is left.
 */
import * as ConfigParser from "@nerve/core/config/ConfigParser"
import * as Daemon from "@nerve/node/daemon/Daemon"
import * as Workspace from "@nerve/node/daemon/Workspace"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Result, Scope, Stream } from "effect"
import { existsSync } from "node:fs"
import { join } from "node:path"
import * as Fixtures from "./fixtures.ts"
import {
  allGone,
  ask,
  canLook,
  daemon,
  is,
  linesOf,
  namesIn,
  printed,
  run,
  type Running,
  signal,
  stored,
  trigger,
  within,
  workerPid,
  workspace,
  write
} from "./harness.ts"

/** What a graceful stop leaves: exit code 0, no process, no socket, `stopped` as the last word. */
const assertStopped = Effect.fnUntraced(function* (root: string, nerve: Running) {
  const ended = yield* nerve.ended
  assert.deepStrictEqual(ended, { code: 0, signal: null, stderr: "" })
  assert.deepStrictEqual(namesIn(root), [])
  const last = nerve.entries.at(-1)
  assert.strictEqual(`${last?.source} ${last?.type}`, "kernel stopped")
  assert.deepStrictEqual(stored(root).logs.at(-1)?.id, last?.id)
  assert.isFalse(existsSync(join(root, ".nerve/control.sock")))
  assert.isFalse(existsSync(join(root, ".nerve/daemon.json")))
})

/** Ways to ask for it, once a thread is in its second round. */
const ways: ReadonlyArray<{
  readonly name: string
  readonly args: ReadonlyArray<string>
  readonly stop: (root: string, nerve: Running) => Effect.Effect<void>
}> = [
  { name: "SIGINT", args: [], stop: (_, nerve) => Effect.sync(() => nerve.kill("SIGINT")) },
  { name: "SIGTERM", args: [], stop: (_, nerve) => Effect.sync(() => nerve.kill("SIGTERM")) },
  { name: "--for", args: ["--for", "1500ms"], stop: () => Effect.void },
  { name: "the control socket", args: [], stop: (root) => ask(root, (client) => client.StopDaemon()) }
]

describe.skipIf(!canLook)("a graceful stop", () => {
  for (const { args, name, stop } of ways) {
    it.live(`by ${name} lets a thread finish that runs, and the ones that wait`, () =>
      Effect.gen(function* () {
        const root = yield* workspace(Fixtures.talk)
        const nerve = yield* daemon(root, ...args)
        const threads = [yield* trigger(root, "talk", "a"), yield* trigger(root, "talk", "b")]
        yield* nerve.entry("round 2", printed("workflow:talk", Fixtures.inRound(2, threads[0] ?? "")))
        yield* stop(root, nerve)
        yield* nerve.entry("the drain", (entry) => entry.type === "draining")
        // Whoever wonders why it is still there can ask it.
        const asked = yield* run(root, "status")
        assert.strictEqual(asked.code, 0)
        assert.include(asked.stdout, `pid ${nerve.pid}`)
        write(root, { gate: "" })
        yield* assertStopped(root, nerve)
        assert.deepStrictEqual(
          stored(root).runs.map(({ status }) => status),
          ["completed", "completed"]
        )
      })
    )
  }

  it.live("goes through with it when workers are stuck or stopped", () =>
    Effect.gen(function* () {
      const root = yield* workspace({
        "nerve.yaml": "senses: { busy: { interval: 1s, timeout: 1m }, frozen: { interval: 1s } }",
        "senses/busy/index.ts": Fixtures.busy,
        "senses/frozen/index.ts": Fixtures.counting
      })
      const nerve = yield* daemon(root)
      yield* nerve.entry("a busy loop", printed("sense:busy", "busy"))
      signal(yield* workerPid(nerve, "sense:frozen"), "SIGSTOP")
      nerve.kill("SIGTERM")
      yield* assertStopped(root, nerve)
    })
  )

  it.live("leaves a thread that outlasts the bound as it is, to go on at the next start", () =>
    Effect.gen(function* () {
      const root = yield* workspace(Fixtures.talk)
      const config = Result.getOrThrow(ConfigParser.parse(Fixtures.talk["nerve.yaml"] ?? "", { file: "nerve.yaml" }))
      // In this process, for the sake of the bound: 30 seconds are too long for a test.
      const scope = yield* Effect.acquireRelease(Scope.make(), Scope.close)
      const options = { workspace: Workspace.make(root), config, version: "0.0.0", drainBound: "100 millis" } as const
      const { kernel, log } = yield* within("a daemon", Scope.provide(Daemon.open(options), scope))
      const launch = { workflow: "talk", prompt: "a", cause: "manual" }
      const { threadId: thread } = yield* within("a thread", kernel.workflows.trigger(launch))
      const inRound2 = log
        .follow({ cursor: 0 })
        .pipe(Stream.filter(printed("workflow:talk", Fixtures.inRound(2, thread))), Stream.runHead)
      const happened = () =>
        stored(root)
          .logs.map(({ ref_id, type }) => `${type} ${ref_id}`)
          .join("; ")
      yield* within("round 2", inRound2, happened)
      const closing = yield* Effect.forkDetach(Scope.close(scope, Exit.void))
      yield* within("its end", Fiber.join(closing), happened)
      assert.deepStrictEqual(namesIn(root), [])
      assert.deepStrictEqual(stored(root).runs, [{ thread_id: thread, status: "started", rounds: 1 }])
      write(root, { gate: "" })
      const nerve = yield* daemon(root)
      yield* nerve.entry("its end", is("completed", thread))
      assert.deepStrictEqual(linesOf(root, "rounds.log"), [
        ...Fixtures.rounds(thread, 1),
        `began ${thread} 2`,
        ...Fixtures.rounds(thread, 2, 3)
      ])
    })
  )

  it.live("becomes an instant one with a second signal, which leaves no process either", () =>
    Effect.gen(function* () {
      const root = yield* workspace({
        ...Fixtures.talk,
        "nerve.yaml": "senses: { busy: { interval: 1s, timeout: 1m } }\nworkflows: { talk: {} }",
        "senses/busy/index.ts": Fixtures.busy
      })
      const nerve = yield* daemon(root)
      yield* nerve.entry("a busy loop", printed("sense:busy", "busy"))
      const thread = yield* trigger(root, "talk", "a")
      yield* nerve.entry("round 2", printed("workflow:talk", Fixtures.inRound(2, thread)))
      nerve.kill("SIGINT")
      // Signals that come together are one: the second is one only half a second later.
      yield* Effect.sleep("600 millis")
      nerve.kill("SIGINT")
      assert.strictEqual((yield* nerve.ended).code, 130)
      yield* allGone(root, "2 seconds")
      assert.deepStrictEqual(stored(root).runs, [{ thread_id: thread, status: "started", rounds: 1 }])
      assert.strictEqual(linesOf(root, "rounds.log").at(-1), `began ${thread} 2`)
    })
  )
})
