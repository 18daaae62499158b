/**
 * A daemon that is killed with `kill -9`: nothing of it lives on, nothing is lost, nothing is done
 * twice; and there is never a second one beside it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { join } from "node:path"
import { existsSync } from "node:fs"
import * as Fixtures from "./fixtures.ts"
import {
  allGone,
  canLook,
  daemon,
  field,
  is,
  linesOf,
  printed,
  processesIn,
  run,
  type Running,
  signal,
  start,
  stored,
  trigger,
  wardensIn,
  workerPid,
  workspace,
  write
} from "./harness.ts"

const signalIds = ({ entries }: Running) => entries.filter((entry) => entry.type === "signal").map(({ id }) => id)

const increases = (ids: ReadonlyArray<number>) => ids.every((id, index) => index === 0 || id > (ids[index - 1] ?? id))

/** Kills the daemon and waits until it is gone; its workers may still be going. */
const kill9 = (running: Running) =>
  Effect.andThen(
    Effect.sync(() => running.kill("SIGKILL")),
    Effect.map(running.ended, (ended) => assert.strictEqual(ended.signal, "SIGKILL"))
  )

describe.skipIf(!canLook)("a daemon killed with kill -9", () => {
  it.live("goes on where it was: the thread at its round, the queue in its order, nothing twice", () =>
    Effect.gen(function* () {
      const root = yield* workspace(Fixtures.talk)
      const first = yield* daemon(root)
      const threads = yield* Effect.forEach(["a", "b", "c", "d"], (prompt) => trigger(root, "talk", prompt))
      const [active = ""] = threads
      yield* first.entry("round 2", printed("workflow:talk", Fixtures.inRound(2, active)))
      yield* kill9(first)
      assert.deepStrictEqual(
        stored(root).runs.map(({ rounds, status }) => [status, rounds]),
        [
          ["started", 1],
          ["queued", 0],
          ["queued", 0],
          ["queued", 0]
        ]
      )

      const second = yield* daemon(root)
      yield* second.entry("round 2 again", printed("workflow:talk", Fixtures.inRound(2, active)))
      write(root, { gate: "" })
      yield* second.entry("the last thread's end", is("completed", threads[3] ?? ""))
      assert.deepStrictEqual(linesOf(root, "rounds.log"), [
        ...Fixtures.rounds(active, 1),
        `began ${active} 2`,
        ...Fixtures.rounds(active, 2, 3),
        ...threads.slice(1).flatMap((thread) => Fixtures.rounds(thread, 1, 2, 3))
      ])
      second.kill("SIGINT")
      assert.strictEqual((yield* second.ended).code, 0)
      const { logs, runs } = stored(root)
      assert.deepStrictEqual(
        runs.map(({ rounds, status }) => [status, rounds]),
        threads.map(() => ["completed", 3])
      )
      assert.deepStrictEqual(
        logs.filter(({ type }) => type === "message").map(({ ref_id, round }) => `${ref_id} ${round}`),
        threads.flatMap((thread) => [1, 2, 3].map((round) => `${thread} ${round}`))
      )
    })
  )

  it.live("takes with it within two seconds: the stuck, the stopped, and grandchildren in sessions of their own", () =>
    Effect.gen(function* () {
      const root = yield* workspace({
        "nerve.yaml": `senses:
  busy: { interval: 1s, timeout: 1m }
  frozen: { interval: 1s }
  parent: { interval: 1s }
workflows:
  talk: {}
`,
        "senses/busy/index.ts": Fixtures.busy,
        "senses/frozen/index.ts": Fixtures.counting,
        "senses/parent/index.ts": Fixtures.sense(
          // The one has left the worker's group, the other has shed its environment.
          `const outside = spawn("sleep", ["1000"], { detached: true, stdio: "ignore" })
    const unmarked = spawn("/bin/sleep", ["1000"], { env: {}, stdio: "ignore" })
    await Promise.all([once(outside, "spawn"), once(unmarked, "spawn")])
    console.log("started " + outside.pid + " " + unmarked.pid)`,
          `import { spawn } from "node:child_process"\nimport { once } from "node:events"`
        ),
        "workflows/talk/index.mjs": Fixtures.talk["workflows/talk/index.mjs"] ?? ""
      })
      const nerve = yield* daemon(root)
      yield* nerve.entry("a busy loop", printed("sense:busy", "busy"))
      signal(yield* workerPid(nerve, "sense:frozen"), "SIGSTOP")
      const started = yield* nerve.entry(
        "grandchildren",
        (entry) => is("output", "sense:parent")(entry) && String(field(entry, "line")).startsWith("started")
      )
      const grandchildren = String(field(started, "line")).split(" ").slice(1).map(Number)
      const thread = yield* trigger(root, "talk", "hello")
      yield* nerve.entry("round 2", printed("workflow:talk", Fixtures.inRound(2, thread)))
      // The daemon, its two wardens, four workers and two grandchildren.
      assert.isAtLeast(processesIn(root).length, 9)
      assert.includeMembers([...processesIn(root)], grandchildren)
      yield* kill9(nerve)
      yield* allGone(root, "2 seconds")
    })
  )

  it.live("whose wardens were killed before it, is cleaned up after by the next start, before anything runs (L6)", () =>
    Effect.gen(function* () {
      const root = yield* workspace({
        "nerve.yaml": "senses:\n  busy: { interval: 1s, timeout: 1m }\n  parent: { interval: 1s }\n",
        "senses/busy/index.ts": Fixtures.busy,
        "senses/parent/index.ts": Fixtures.sense(
          `const outside = spawn("sleep", ["1000"], { detached: true, stdio: "ignore" })
    await once(outside, "spawn")
    console.log("started " + outside.pid)`,
          `import { spawn } from "node:child_process"\nimport { once } from "node:events"`
        )
      })
      const nerve = yield* daemon(root)
      yield* nerve.entry("a busy loop", printed("sense:busy", "busy"))
      const started = yield* nerve.entry(
        "a child in a session of its own",
        (entry) => is("output", "sense:parent")(entry) && String(field(entry, "line")).startsWith("started")
      )
      const child = Number(String(field(started, "line")).split(" ")[1])
      const busy = yield* workerPid(nerve, "sense:busy")
      // Stopped, it cannot start another warden.
      nerve.kill("SIGSTOP")
      for (const pid of wardensIn(root)) signal(pid, "SIGKILL")
      yield* kill9(nerve)
      assert.includeMembers([...processesIn(root)], [busy, child])
      const next = yield* daemon(root)
      yield* next.entry("a busy loop", printed("sense:busy", "busy"))
      assert.notIncludeMembers([...processesIn(root)], [busy])
      assert.notIncludeMembers([...processesIn(root)], [child])
      next.kill("SIGKILL")
      assert.include((yield* next.ended).stderr, "that an earlier daemon left behind")
    })
  )

  it.live("makes room at once, and signals get ever higher ids across all ends and starts", () =>
    Effect.gen(function* () {
      const root = yield* workspace(Fixtures.talk)
      const ids: Array<number> = []
      for (const end of ["SIGKILL", "SIGTERM", "SIGKILL", "SIGKILL"] as const) {
        const nerve = yield* daemon(root)
        yield* nerve.entry("a second signal", (entry) => is("signal", "tick")(entry) && signalIds(nerve).length >= 2)
        nerve.kill(end)
        yield* nerve.ended
        ids.push(...signalIds(nerve))
      }
      assert.isAtLeast(ids.length, 8)
      assert.isTrue(increases(ids), `not increasing: ${ids.join(" ")}`)
      const kept = stored(root)
        .logs.filter(({ type }) => type === "signal")
        .map(({ id }) => id)
      assert.deepStrictEqual(
        ids.filter((id) => !kept.includes(id)),
        []
      )
      assert.isTrue(increases(kept))
    })
  )
})

describe.skipIf(!canLook)("a second daemon", () => {
  it.live("is refused while the first one lives, even stopped, and starts at once when it was killed", () =>
    Effect.gen(function* () {
      const root = yield* workspace(Fixtures.talk)
      const first = yield* daemon(root)
      yield* first.entry("a signal", is("signal", "tick"))
      for (const name of ["SIGCONT", "SIGSTOP"] as const) {
        first.kill(name)
        const refused = yield* run(root, "dev", "--json")
        assert.deepStrictEqual(refused, {
          code: 1,
          signal: null,
          stdout: "",
          stderr:
            `nerve: a daemon already runs in ${root} (pid ${first.pid})\n` +
            `  stop it with Ctrl-C in its terminal, or with: kill ${first.pid}\n`
        })
      }
      assert.isTrue(existsSync(join(root, ".nerve/control.sock")))
      first.kill("SIGKILL")
      const second = yield* daemon(root)
      yield* second.entry("a signal", is("signal", "tick"))
      assert.strictEqual((yield* run(root, "status")).code, 0)
    })
  )

  it.live("started in the same moment: one of them runs, the other is refused", () =>
    Effect.gen(function* () {
      const root = yield* workspace(Fixtures.talk)
      const one = yield* start(root, "dev", "--json")
      const other = yield* start(root, "dev", "--json")
      const { left, refused } = yield* Effect.raceFirst(
        Effect.map(one.ended, (refused) => ({ refused, left: other })),
        Effect.map(other.ended, (refused) => ({ refused, left: one }))
      )
      assert.strictEqual(refused.code, 1)
      assert.include(refused.stderr, `a daemon already runs in ${root}`)
      yield* left.entry("a signal", is("signal", "tick"))
      assert.strictEqual((yield* run(root, "status")).code, 0)
    })
  )
})
