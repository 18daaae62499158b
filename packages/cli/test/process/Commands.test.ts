/**
 * Every command as a real process: what it prints, that stdout holds only data, and its exit code.
 */
import { LogEntry } from "@nerve/core/domain/LogEntry"
import { ThreadId, WorkflowName } from "@nerve/core/domain/Ids"
import { DaemonStatus, ThreadDetail } from "@nerve/core/wire/ControlRpcs"
import { WorkflowRun } from "@nerve/core/domain/Thread"
import { Tick } from "@nerve/core/domain/Tick"
import * as LogStoreSqlite from "@nerve/node/sqlite/LogStoreSqlite"
import { LogStore } from "@nerve/runtime/log/LogStore"
import { TickHistory } from "@nerve/runtime/sense/TickHistory"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schema } from "effect"
import { execFile } from "node:child_process"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import * as FakeDaemon from "./fakeDaemon.ts"
import { nerve, type Ran, run, start, workspace } from "./run.ts"

const served = Effect.tap(workspace(), FakeDaemon.serve)

const parse = <A>(schema: Schema.Codec<A, unknown>, text: string): A =>
  Schema.decodeUnknownSync(schema)(JSON.parse(text))

const lines = (text: string): ReadonlyArray<string> => text.split("\n").filter((line) => line !== "")

/** Nothing of a stack trace, nothing on stdout. */
const assertFailed = (ran: Ran, code: number, ...words: ReadonlyArray<string>) => {
  assert.strictEqual(ran.code, code, ran.stderr)
  assert.strictEqual(ran.stdout, "")
  assert.notMatch(ran.stderr, /^\s+at /m)
  for (const word of words) assert.include(ran.stderr, word)
}

const assertDone = (ran: Ran) => {
  assert.strictEqual(ran.stderr, "")
  assert.strictEqual(ran.code, 0)
}

/** Lines that are no command, each with a word of the help that it must give. */
const mistakes: Array<readonly [args: ReadonlyArray<string>, word: string]> = [
  [[], "USAGE"],
  [["sense"], "USAGE"],
  [["statsu"], "status"],
  [["thread", "shwo"], "show"],
  [["status", "--jsn"], "--json"],
  [["logs", "--folow"], "--follow"],
  [["status", "extra"], "extra"],
  [["sense", "trigger"], "name"],
  [["sense", "ticks", "cpu-usage", "--outcome", "eror"], "error"],
  [["workflow", "trigger", "investigate"], "--prompt"],
  [["logs", "--since", "3q"], "10m"],
  [["logs", "--limit", "0"], "from 1 up"],
  [["logs", "--source", "kernal"], "kernel"],
  [["dev", "--for", "5"], "5s"],
  [["thread", "list", "--status", "done"], "completed"]
]

describe("nerve", () => {
  it.live("prints its version and its help on stdout", () =>
    Effect.gen(function* () {
      const root = yield* workspace({})
      const version = yield* run(root, "--version")
      assertDone(version)
      assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/)
      const help = yield* run(root, "--help")
      assertDone(help)
      for (const word of ["validate", "thread", "--workspace", "Exit codes"]) assert.include(help.stdout, word)
    })
  )

  it.live("explains every command", () =>
    Effect.gen(function* () {
      const root = yield* workspace({})
      const commands = [
        ["dev"],
        ["validate"],
        ["status"],
        ["logs"],
        ["sense"],
        ["sense", "list"],
        ["sense", "ticks"],
        ["sense", "trigger"],
        ["workflow"],
        ["workflow", "list"],
        ["workflow", "status"],
        ["workflow", "trigger"],
        ["thread"],
        ["thread", "list"],
        ["thread", "show"],
        ["thread", "kill"]
      ]
      const helps = yield* Effect.forEach(commands, (command) => run(root, ...command, "--help"), { concurrency: 2 })
      helps.forEach((help, index) => {
        assertDone(help)
        assert.include(help.stdout, `nerve ${commands[index]?.join(" ")}`)
      })
    })
  )

  it.live.each(mistakes)("calls %j a usage mistake, exit code 2, and says what would be right", ([args, word]) =>
    Effect.gen(function* () {
      const root = yield* workspace()
      assertFailed(yield* run(root, ...args), 2, word)
    })
  )

  it.live("says where it looked when there is no workspace", () =>
    Effect.gen(function* () {
      const root = yield* workspace({})
      assertFailed(yield* run(root, "status"), 1, "nerve: no nerve.yaml", "--workspace")
    })
  )

  it.live("finds the workspace from a folder inside, and by --workspace", () =>
    Effect.gen(function* () {
      const root = yield* served
      mkdirSync(join(root, "senses/deep"), { recursive: true })
      assertDone(yield* run(join(root, "senses/deep"), "status"))
      assertDone(yield* run("/", "status", "--workspace", root))
      assertDone(yield* run("/", "-C", join(root, "senses"), "status"))
    })
  )

  it.live("shows a stack trace only with --debug", () =>
    Effect.gen(function* () {
      const root = yield* workspace({})
      const ran = yield* run(root, "status", "--debug")
      assert.strictEqual(ran.code, 1)
      assert.match(ran.stderr, /^\s+at /m)
    })
  )
})

describe("nerve validate", () => {
  it.live("says what a valid file holds", () =>
    Effect.gen(function* () {
      const root = yield* workspace({ "nerve.yaml": "senses:\n  cpu:\n    interval: 2s\nworkflows:\n  look: {}\n" })
      const ran = yield* run(root, "validate")
      assertDone(ran)
      assert.strictEqual(ran.stdout, "nerve.yaml is valid: 1 sense, 1 workflow\n")
      const json = yield* run(root, "validate", "--json")
      assertDone(json)
      assert.deepStrictEqual(JSON.parse(json.stdout), { valid: true, file: "nerve.yaml", problems: [], omitted: 0 })
    })
  )

  it.live("lists all problems with line and column on stderr, exit code 1", () =>
    Effect.gen(function* () {
      const root = yield* workspace({
        "nerve.yaml": "senses:\n  cpu:\n    intervall: 2s\n    group: 5 5\nmax_round: 3\n"
      })
      const ran = yield* run(root, "validate")
      assertFailed(ran, 1, "nerve.yaml:3:5", "nerve.yaml:4:12", "nerve.yaml:5:1", "3 problems")
    })
  )

  it.live("prints the problems as JSON on stdout with --json", () =>
    Effect.gen(function* () {
      const root = yield* workspace({ "nerve.yaml": "senses:\n  cpu:\n    intervall: 2s\n" })
      const ran = yield* run(root, "validate", "--json")
      assert.strictEqual(ran.code, 1)
      assert.strictEqual(ran.stderr, "")
      const { problems, valid } = JSON.parse(ran.stdout)
      assert.strictEqual(valid, false)
      assert.strictEqual(problems[0].line, 3)
      assert.strictEqual(problems[0].suggestion, "interval")
    })
  )
})

describe("nerve dev", () => {
  it.live("refuses a broken nerve.yaml with all its problems, exit code 1", () =>
    Effect.gen(function* () {
      const root = yield* workspace({ "nerve.yaml": "senses: 5\nworkflow: {}\n" })
      assertFailed(yield* run(root, "dev", "--for", "1s"), 1, "nerve.yaml:1:9", "nerve.yaml:2:1", "2 problems")
    })
  )
})

const daemonless: Array<readonly [args: ReadonlyArray<string>]> = [
  [["status"]],
  [["sense", "list"]],
  [["sense", "ticks", "cpu-usage"]],
  [["sense", "trigger", "cpu-usage"]],
  [["workflow", "list"]],
  [["workflow", "status"]],
  [["workflow", "trigger", "investigate", "--prompt", "x"]],
  [["thread", "list"]],
  [["thread", "show", "t"]],
  [["thread", "kill", "t"]],
  [["logs"]],
  [["logs", "--follow"]]
]

describe("commands that need a daemon", () => {
  it.live.each(daemonless)("%j says that none runs and how to start one", ([args]) =>
    Effect.gen(function* () {
      const root = yield* workspace()
      assertFailed(yield* run(root, ...args), 1, `nerve: no daemon runs in ${root}`, "nerve dev")
    })
  )
})

describe("commands with a daemon", () => {
  it.live("status shows it", () =>
    Effect.gen(function* () {
      const root = yield* served
      const ran = yield* run(root, "status")
      assertDone(ran)
      for (const word of ["nerve 0.1.0", root, "cpu-usage", "investigate", "sense:system"]) {
        assert.include(ran.stdout, word)
      }
      const json = yield* run(root, "status", "--json")
      assertDone(json)
      assert.deepStrictEqual(parse(DaemonStatus, json.stdout), FakeDaemon.status(root))
    })
  )

  it.live("sense ticks", () =>
    Effect.gen(function* () {
      const root = yield* served
      const all = yield* run(root, "sense", "ticks", "cpu-usage", "--json")
      assertDone(all)
      assert.deepStrictEqual(parse(Schema.Array(Tick), all.stdout), FakeDaemon.ticks)
      const errors = yield* run(root, "sense", "ticks", "cpu-usage", "--outcome", "error")
      assertDone(errors)
      assert.match(lines(errors.stdout)[0] ?? "", /^DUE +CAUSE +OUTCOME +LATE +TOOK +WHAT$/)
      assert.match(lines(errors.stdout)[1] ?? "", /interval +error +3 ms +12 ms +no such file$/)
      assert.strictEqual(lines(errors.stdout)[2], "    info: looked")
      const two = yield* run(root, "sense", "ticks", "cpu-usage", "-n", "2", "--json")
      assert.deepStrictEqual(parse(Schema.Array(Tick), two.stdout), FakeDaemon.ticks.slice(0, 2))
      assertFailed(yield* run(root, "sense", "ticks", "cpu"), 1, 'no sense "cpu"', "cpu-usage")
    })
  )

  it.live("sense list and sense trigger", () =>
    Effect.gen(function* () {
      const root = yield* served
      const list = yield* run(root, "sense", "list", "--json")
      assertDone(list)
      assert.strictEqual(JSON.parse(list.stdout)[0].name, "cpu-usage")
      const trigger = yield* run(root, "sense", "trigger", "cpu-usage")
      assertDone(trigger)
      assert.strictEqual(trigger.stdout, "triggered cpu-usage\n")
      assertFailed(yield* run(root, "sense", "trigger", "cpu"), 1, 'no sense "cpu"', "cpu-usage")
    })
  )

  it.live("workflow list and workflow status", () =>
    Effect.gen(function* () {
      const root = yield* served
      const list = yield* run(root, "workflow", "list")
      assertDone(list)
      assert.include(list.stdout, "investigate")
      const status = yield* run(root, "workflow", "status", "investigate", "--json")
      assertDone(status)
      const [state] = JSON.parse(status.stdout)
      assert.strictEqual(state.workflow.name, "investigate")
      assert.strictEqual(state.threads.length, 3)
      assert.include((yield* run(root, "workflow", "status")).stdout, "t-aab2")
      assertFailed(yield* run(root, "workflow", "status", "investigat"), 1, "no workflow", "investigate")
    })
  )

  it.live("workflow trigger starts a thread with what was given", () =>
    Effect.gen(function* () {
      const root = yield* served
      const ran = yield* run(root, "workflow", "trigger", "investigate", "--prompt", "p", "--max-rounds", "7")
      assertDone(ran)
      assert.strictEqual(ran.stdout, "thread t-new-p-7 started\n")
      const json = yield* run(root, "workflow", "trigger", "investigate", "-p", "p", "--json")
      assertDone(json)
      assert.deepStrictEqual(JSON.parse(json.stdout), { threadId: "t-new-p-default", status: "started" })
      assertFailed(yield* run(root, "workflow", "trigger", "nope", "-p", "x"), 1, 'no workflow "nope"')
    })
  )

  it.live("workflow trigger fails when the thread was dropped", () =>
    Effect.gen(function* () {
      const root = yield* served
      const ran = yield* run(root, "workflow", "trigger", "full", "-p", "x")
      assert.strictEqual(ran.code, 1)
      assert.strictEqual(ran.stdout, "thread t-drop dropped\n")
      assert.include(ran.stderr, "no room")
    })
  )

  it.live("workflow trigger --wait prints the ended thread and fails when it did", () =>
    Effect.gen(function* () {
      const root = yield* served
      const fine = yield* run(root, "workflow", "trigger", "investigate", "-p", "fine", "--wait", "--json")
      assertDone(fine)
      assert.strictEqual(parse(ThreadDetail, fine.stdout).run.status, "completed")
      const failed = yield* run(root, "workflow", "trigger", "investigate", "-p", "fail", "--wait")
      assert.strictEqual(failed.code, 1)
      assert.strictEqual(failed.stderr, "")
      assert.include(failed.stdout, "the role gave up")
    })
  )

  it.live("thread list filters", () =>
    Effect.gen(function* () {
      const root = yield* served
      const all = yield* run(root, "thread", "list", "--json")
      assertDone(all)
      assert.deepStrictEqual(parse(Schema.Array(WorkflowRun), all.stdout), FakeDaemon.runs)
      const some = yield* run(root, "thread", "list", "--status", "failed", "--workflow", "investigate", "--limit", "1")
      assertDone(some)
      assert.include(some.stdout, "t-bbb3")
      assert.notInclude(some.stdout, "t-aaa1")
    })
  )

  it.live("thread show takes an id or a unique beginning of it", () =>
    Effect.gen(function* () {
      const root = yield* served
      for (const id of ["t-aaa1", "t-aaa"]) {
        const ran = yield* run(root, "thread", "show", id)
        assertDone(ran)
        assert.include(ran.stdout, "t-aaa1  investigate  completed")
        assert.include(ran.stdout, "1. collector\n   load 7")
      }
      assertFailed(yield* run(root, "thread", "show", "t-aa"), 1, "several threads", "t-aaa1", "t-aab2")
      assertFailed(yield* run(root, "thread", "show", "t-zz"), 1, 'no thread "t-zz"')
    })
  )

  it.live("threads are answered, paused, resumed, retried, forked, cancelled and explained", () =>
    Effect.gen(function* () {
      const root = yield* served
      const says = (words: string, ...args: ReadonlyArray<string>) =>
        Effect.map(run(root, ...args), (ran) => assert.deepStrictEqual([ran.code, ran.stdout], [0, `${words}\n`]))
      yield* says("approved; thread t-aab2 goes on", "thread", "answer", "t-aab", "--approve", "--reason", "fine")
      yield* says("thread t-aab2 pauses after round 2", "thread", "pause", "t-aab")
      yield* says("thread t-aab2 goes on", "thread", "resume", "t-aab")
      yield* says("thread t-bbb3 failed, goes on after round 1", "thread", "retry", "t-b")
      yield* says("cancelled thread t-aab2", "thread", "cancel", "t-aab", "--reason", "no")
      yield* says("next in the queue", "why", "t-aab")
      yield* says(
        "paused investigate: nothing of it is started until it is resumed",
        "workflow",
        "pause",
        "investigate"
      )
      yield* says("resumed investigate", "workflow", "resume", "investigate")
      const forked = yield* run(root, "thread", "fork", "t-aaa1", "--round", "0", "--json")
      assert.deepStrictEqual(JSON.parse(forked.stdout), { threadId: "t-fork", status: "started", rerun: ["reporter"] })
      assert.include(forked.stderr, "their effects may happen again: reporter")
      assertFailed(yield* run(root, "thread", "cancel", "t-aaa1"), 1, "has ended already")
      assertFailed(
        yield* run(root, "thread", "answer", "t-aab", "--approve", "--answer", '"wrong"'),
        1,
        "the answer does not fit what gate asks for: answer.amount: Expected number"
      )
      assertFailed(yield* run(root, "thread", "answer", "t-aab"), 2, "either --approve or --reject")
      assertFailed(yield* run(root, "thread", "answer", "t-aab", "--approve", "--answer", "{"), 2, "JSON")
      assertFailed(yield* run(root, "workflow", "pause", "nope"), 1, 'no workflow "nope"')
      assert.strictEqual((yield* run(root, "thread", "wait", "t-aaa1")).code, 0)
      assert.strictEqual((yield* run(root, "thread", "wait", "t-bbb3")).code, 1)
    })
  )

  it.live("thread kill kills what is active, and says when there is nothing to kill", () =>
    Effect.gen(function* () {
      const root = yield* served
      const ran = yield* run(root, "thread", "kill", "t-aab")
      assertDone(ran)
      assert.strictEqual(ran.stdout, "killed thread t-aab2\n")
      assertFailed(yield* run(root, "thread", "kill", "t-aaa1"), 1, "has ended already (completed)")
    })
  )

  it.live("logs prints the newest entries, oldest first, beyond one page", () =>
    Effect.gen(function* () {
      const root = yield* served
      const byDefault = yield* run(root, "logs", "--json")
      assertDone(byDefault)
      assert.deepStrictEqual(
        lines(byDefault.stdout).map((line) => parse(LogEntry, line)),
        FakeDaemon.entries.slice(-100)
      )
      const many = yield* run(root, "logs", "--json", "-n", "5000")
      assert.deepStrictEqual(
        lines(many.stdout).map((line) => JSON.parse(line).id),
        FakeDaemon.entries.map(({ id }) => id)
      )
    })
  )

  it.live("logs filters by source, type, reference and time", () =>
    Effect.gen(function* () {
      const root = yield* served
      const since = new Date(1_001_190).toISOString()
      const ran = yield* run(root, "logs", "--source", "sense", "--type", "signal", "--ref", "disk", "--since", since)
      assertDone(ran)
      const expected = FakeDaemon.entries
        .slice(1_190)
        .filter((entry) => entry.source === "sense" && entry.refId === "disk")
      assert.strictEqual(lines(ran.stdout).length, expected.length)
      for (const line of lines(ran.stdout))
        assert.match(line, /^00:16:41 {2}sense {5}disk {24}signal: usage \d+, note x/)
    })
  )

  it.live("logs --follow goes on with what comes until Ctrl-C, exit code 130", () =>
    Effect.gen(function* () {
      const root = yield* served
      const follow = yield* start(root, "logs", "--follow", "--json", "-n", "3")
      yield* follow.printed("live")
      follow.child.kill("SIGINT")
      const ran = yield* follow.ended
      assert.strictEqual(ran.code, 130)
      assert.strictEqual(ran.stderr, "")
      assert.deepStrictEqual(
        lines(ran.stdout).map((line) => JSON.parse(line).id),
        [1198, 1199, 1200, 2000]
      )
    })
  )

  it.live("logs ends quietly when its reader has enough", () =>
    Effect.gen(function* () {
      const root = yield* served
      const command = `"${process.execPath}" "${nerve}" logs --json -n 5000 | head -n 1; echo "\${PIPESTATUS[0]}"`
      const ran = yield* Effect.callback<Ran>((resume) => {
        execFile("bash", ["-c", command], { cwd: root }, (_, stdout, stderr) =>
          resume(Effect.succeed({ code: 0, stdout, stderr }))
        )
      })
      assert.strictEqual(ran.stderr, "")
      const [first, code] = lines(ran.stdout)
      assert.strictEqual(JSON.parse(first ?? "").id, 1)
      assert.strictEqual(code, "0")
    })
  )

  it.live("logs --follow fails with words when the daemon goes away", () =>
    Effect.gen(function* () {
      const root = yield* workspace()
      const daemon = yield* Effect.forkChild(Effect.scoped(Effect.andThen(FakeDaemon.serve(root), Effect.never)))
      // The socket is up when the command can connect.
      yield* run(root, "status").pipe(Effect.repeat({ until: (ran) => ran.code === 0 }))
      const follow = yield* start(root, "logs", "--follow", "-n", "1")
      yield* follow.printed("live")
      yield* Fiber.interrupt(daemon)
      const ran = yield* follow.ended
      assert.strictEqual(ran.code, 1)
      assert.include(ran.stderr, "nerve: lost the daemon")
      assert.notMatch(ran.stderr, /^\s+at /m)
    })
  )
})

describe("reading without a daemon", () => {
  const thread = ThreadId.make("20260228-thread-1")

  const withLog = Effect.tap(workspace(), (root) =>
    Effect.gen(function* () {
      const store = yield* LogStore
      const opened = {
        workflow: WorkflowName.make("look"),
        prompt: "why",
        maxRounds: 3,
        dryRun: false,
        cause: "manual"
      }
      yield* store.appendAll([
        { source: "sense", type: "signal", refId: "cpu", payload: { usage: 1 } },
        { source: "workflow", type: "started", refId: thread, payload: opened },
        {
          source: "workflow",
          type: "message",
          refId: thread,
          round: 1,
          payload: { role: "a", content: "hm", meta: null }
        },
        { source: "workflow", type: "completed", refId: thread, payload: { exitCode: 0, reason: "" } }
      ])
    }).pipe(Effect.provide(LogStoreSqlite.layer(join(root, "data/nerve.db"))))
  )

  it.live("sense ticks reads the history beside the log", () =>
    Effect.gen(function* () {
      const root = yield* withLog
      const none = yield* run(root, "sense", "ticks", "cpu", "--json")
      assert.strictEqual(none.stdout.trim(), "[]")
      assert.include(none.stderr, "no ticks of cpu")
      yield* Effect.gen(function* () {
        const history = yield* TickHistory
        for (const { id: _, ...tick } of FakeDaemon.ticks.toReversed()) history.recordUnsafe(tick)
      }).pipe(Effect.provide(LogStoreSqlite.layerWithTicks(join(root, "data/nerve.db"))))
      const ran = yield* run(root, "sense", "ticks", "cpu-usage", "--json")
      assert.include(ran.stderr, "no daemon runs")
      assert.deepStrictEqual(parse(Schema.Array(Tick), ran.stdout), FakeDaemon.ticks)
    })
  )

  it.live("logs, thread list and thread show read the log file, and say so on stderr", () =>
    Effect.gen(function* () {
      const root = yield* withLog
      const logs = yield* run(root, "logs", "--json", "--source", "sense")
      assert.strictEqual(logs.code, 0)
      assert.include(logs.stderr, "no daemon runs")
      assert.deepStrictEqual(
        lines(logs.stdout).map((line) => parse(LogEntry, line).payload),
        [{ usage: 1 }]
      )
      const list = yield* run(root, "thread", "list", "--json")
      assert.strictEqual(parse(Schema.Array(WorkflowRun), list.stdout)[0]?.status, "completed")
      const show = yield* run(root, "thread", "show", "20260228", "--json")
      assert.strictEqual(parse(ThreadDetail, show.stdout).messages[0]?.content, "hm")
      const missing = yield* run(root, "thread", "show", "nope")
      assert.strictEqual(missing.code, 1)
      assert.include(missing.stderr, 'no thread "nope"')
    })
  )

  it.live("logs --follow and status still need a daemon", () =>
    Effect.gen(function* () {
      const root = yield* withLog
      assertFailed(yield* run(root, "logs", "--follow"), 1, "no daemon runs", "nerve dev")
      assertFailed(yield* run(root, "status"), 1, "no daemon runs", "nerve dev")
    })
  )

  it.live("says what is wrong with a damaged log", () =>
    Effect.gen(function* () {
      const root = yield* workspace({ "nerve.yaml": "{}\n", "data/nerve.db": "not a database at all".repeat(100) })
      const ran = yield* run(root, "logs")
      assert.strictEqual(ran.code, 1)
      assert.strictEqual(ran.stdout, "")
      assert.include(ran.stderr, "not an SQLite database")
      assert.notMatch(ran.stderr, /^\s+at /m)
    })
  )
})
