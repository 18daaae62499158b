/**
 * Changes of configuration and of code in a running pool: each sense makes its own at its next idle
 * moment, and nobody else is cut or delayed (M10).
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { TestClock } from "effect/testing"
import { noSignal, pass, type Setup, sense, settle, start } from "./harness.ts"

const problem = { code: "syntax-error", message: "senses/cpu.ts:1: unexpected end", file: "senses/cpu.ts", hint: "" }

/** A compute of that sense that ends when told. */
const held = (name: string) =>
  Effect.map(Deferred.make<void>(), (gate) => ({
    release: Deferred.succeed(gate, undefined),
    compute: (({ sense: computed, nth }) =>
      computed === name && nth === 0
        ? Effect.as(Deferred.await(gate), noSignal)
        : Effect.succeed(noSignal)) satisfies Setup["compute"]
  }))

const boots = (asked: ReadonlyArray<{ readonly _tag: string; readonly init?: { readonly name: string } }>) =>
  asked.flatMap((one) => (one._tag === "Boot" ? [one.init?.name] : []))

describe("reload", () => {
  it.effect("boots a sense anew in its worker, under another version each time, and tells which files changed", () =>
    Effect.gen(function* () {
      const { asked, children, of, pool } = yield* start({ senses: [sense("cpu"), sense("disk")] })
      yield* pool.reload("cpu", ["senses/cpu.ts"])
      yield* settle
      yield* pool.reload("cpu", ["senses/cpu.ts", "lib/a.ts"])
      yield* settle
      const versions = asked.flatMap((one) => (one._tag === "Boot" ? [one.init.version] : []))
      assert.lengthOf(new Set(versions), 2)
      assert.notInclude(versions, undefined)
      assert.deepStrictEqual(
        of("SenseReloaded").map((event) => [event.sense, ...event.files]),
        [
          ["cpu", "senses/cpu.ts"],
          ["cpu", "senses/cpu.ts", "lib/a.ts"]
        ] as ReadonlyArray<ReadonlyArray<string>>
      )
      assert.lengthOf(children.all(), 1)
    })
  )

  it.effect("waits for the compute that runs, and holds up nobody else of the group", () =>
    Effect.gen(function* () {
      const { compute, release } = yield* held("cpu")
      const { asked, events, pool, startsOf } = yield* start({
        senses: [sense("cpu"), sense("disk", { intervalMs: 1_000 })],
        compute
      })
      yield* pool.trigger("cpu")
      yield* settle
      yield* pool.reload("cpu", ["senses/cpu.ts"])
      yield* pool.trigger("cpu")
      const before = startsOf("disk").length
      yield* pass(5_000)
      assert.deepStrictEqual(boots(asked), [])
      assert.strictEqual(startsOf("disk").length - before, 5)
      yield* release
      yield* settle
      assert.deepStrictEqual(boots(asked), ["cpu"])
      // The trigger that waited is answered by the new code.
      assert.lengthOf(startsOf("cpu"), 2)
      assert.isEmpty(events.filter(({ _tag }) => _tag === "ComputeInterrupted"))
    })
  )

  it.effect("computes at once what computes at intervals, and not what has its times or its triggers", () =>
    Effect.gen(function* () {
      const { pool, startsOf } = yield* start({
        senses: [
          sense("often", { intervalMs: 3_600_000 }),
          sense("daily", { cron: { expression: "0 3 * * *", timeZone: "UTC" } }),
          sense("asked")
        ]
      })
      for (const name of ["often", "daily", "asked"]) yield* pool.reload(name, [`senses/${name}.ts`])
      yield* settle
      assert.lengthOf(startsOf("often"), 1)
      assert.lengthOf(startsOf("daily"), 0)
      assert.lengthOf(startsOf("asked"), 0)
    })
  )

  it.effect("brings a sense back that did not load, and only that one", () =>
    Effect.gen(function* () {
      let mended = false
      const { of, pool, startsOf, view } = yield* start({
        senses: [sense("cpu", { intervalMs: 1_000 }), sense("disk", { intervalMs: 1_000 })],
        problem: (name) => (name === "cpu" ? problem : null),
        boot: ({ name }) => Effect.sync(() => ({ name, problem: mended ? null : problem }))
      })
      yield* pass(2_500)
      assert.lengthOf(startsOf("cpu"), 0)
      yield* pool.reload("cpu", ["senses/cpu.ts"])
      yield* pass(1_000)
      assert.strictEqual((yield* view("cpu")).status, "failed")
      assert.lengthOf(of("SenseBroken"), 2)
      assert.lengthOf(of("SenseReloaded"), 0)
      mended = true
      yield* pool.reload("cpu", ["senses/cpu.ts"])
      yield* pass(1_000)
      assert.strictEqual((yield* view("cpu")).status, "ok")
      assert.deepStrictEqual(
        of("SenseRecovered").map((event) => String(event.sense)),
        ["cpu"]
      )
      assert.lengthOf(of("SenseReloaded"), 1)
      assert.isAtLeast(startsOf("cpu").length, 1)
      assert.isAtLeast(startsOf("disk").length, 4)
    })
  )

  it.effect("of a sense that is alone in its group starts its worker anew, when it is idle", () =>
    Effect.gen(function* () {
      const { compute, release } = yield* held("cpu")
      const { asked, children, events, of, pool } = yield* start({
        senses: [sense("cpu"), sense("disk", { group: "slow" })],
        compute
      })
      yield* pool.trigger("cpu")
      yield* settle
      yield* pool.reload("cpu", ["senses/cpu.ts"])
      yield* pass(2_000)
      assert.lengthOf(children.all(), 2)
      yield* release
      yield* pass(2_000)
      assert.lengthOf(children.all(), 3)
      assert.isEmpty(boots(asked))
      assert.lengthOf(of("SenseReloaded"), 1)
      assert.isEmpty(events.filter(({ _tag }) => _tag === "ComputeInterrupted"))
    })
  )

  it.effect("of code that takes its worker along is tried once more, alone; the group then goes on without it", () =>
    Effect.gen(function* () {
      let crash = (): Effect.Effect<void> => Effect.void
      const { asked, children, of, pool, startsOf, view } = yield* start({
        senses: [sense("cpu", { intervalMs: 1_000 }), sense("disk", { intervalMs: 1_000 })],
        boot: ({ name }) => (mended ? Effect.succeed({ name, problem: null }) : Effect.andThen(crash(), Effect.never))
      })
      let mended = false
      crash = () => children.living("main").exit({ code: 1, signal: null })
      yield* pool.reload("cpu", ["senses/cpu.ts"])
      yield* pass(5_000)
      assert.deepStrictEqual(boots(asked), ["cpu", "cpu"])
      assert.lengthOf(children.all(), 3)
      assert.strictEqual((yield* view("cpu")).status, "failed")
      assert.include(of("SenseBroken").at(-1)?.problem.message, "did not start")
      const before = startsOf("disk").length
      yield* pass(10_000)
      assert.strictEqual(startsOf("disk").length - before, 10)
      assert.lengthOf(children.all(), 3)
      mended = true
      yield* pool.reload("cpu", ["senses/cpu.ts"])
      yield* pass(2_000)
      assert.strictEqual((yield* view("cpu")).status, "ok")
      // From now on workers start with it again.
      yield* children.living("main").exit({ code: null, signal: "SIGKILL" })
      yield* pass(2_000)
      const init = children.living("main").spec.options.init
      assert.deepStrictEqual(init, {
        group: "main",
        workspace: "/workspace",
        senses: [
          { name: "cpu", timeoutMs: 30_000 },
          { name: "disk", timeoutMs: 30_000 }
        ],
        peers: ["cpu", "disk"]
      })
    })
  )

  it.effect("that comes while the worker is away costs nothing: whoever starts reads what is there", () =>
    Effect.gen(function* () {
      const { asked, children, of, pool } = yield* start({ senses: [sense("cpu"), sense("disk")] })
      yield* children.living("main").exit({ code: 1, signal: null })
      yield* settle
      yield* pool.reload("cpu", ["senses/cpu.ts"])
      yield* pass(2_000)
      assert.isEmpty(boots(asked))
      assert.lengthOf(of("SenseReloaded"), 1)
    })
  )

  it.effect("time and again starts the worker anew in an idle moment, for old code stays in memory", () =>
    Effect.gen(function* () {
      const { children, events, pool, startsOf } = yield* start({
        senses: [sense("cpu"), sense("disk", { intervalMs: 1_000 })],
        compute: () => Effect.as(Effect.sleep(300), noSignal)
      })
      for (let n = 0; n < 30; n++) {
        yield* pool.reload("cpu", ["senses/cpu.ts"])
        yield* pass(1_000)
      }
      assert.lengthOf(children.all(), 2)
      assert.isEmpty(events.filter(({ _tag }) => _tag === "ComputeInterrupted"))
      assert.isAtLeast(startsOf("disk").length, 29)
    })
  )

  it.effect("of an unknown sense does nothing", () =>
    Effect.gen(function* () {
      const { asked, children, pool } = yield* start({ senses: [sense("cpu")] })
      yield* pool.reload("nobody", ["senses/nobody.ts"])
      yield* settle
      assert.isEmpty(asked)
      assert.lengthOf(children.all(), 1)
    })
  )
})

describe("a worker that dies while it starts", () => {
  const four = ["a", "bad", "c", "worse"].map((name) => sense(name, { intervalMs: 1_000 }))
  const isBad = (name: string) => name === "bad" || name === "worse"

  it.effect("boots its senses one by one; those that kill it are left out and shown, and the others compute", () =>
    Effect.gen(function* () {
      let isMended = false
      let crash = (): Effect.Effect<void> => Effect.void
      const dies = Effect.suspend(() => Effect.andThen(crash(), Effect.never))
      const { asked, children, of, pool, startsOf, view } = yield* start({
        senses: four,
        load: ({ senses }) => (senses.some(({ name }) => isBad(name)) && !isMended ? dies : Effect.void),
        boot: ({ name }) => (isBad(name) && !isMended ? dies : Effect.succeed({ name, problem: null })),
        compute: () => Effect.as(Effect.sleep(300), noSignal)
      })
      crash = () => children.living("main").exit({ code: 0, signal: null })
      yield* children.living("main").exit({ code: 0, signal: null })
      yield* pass(10_000)
      // One for each that kills it, and one for the start of all.
      assert.lengthOf(children.all(), 4)
      assert.deepStrictEqual(boots(asked), ["a", "bad", "c", "worse"])
      for (const name of ["bad", "worse"]) {
        assert.strictEqual((yield* view(name)).status, "failed")
        assert.strictEqual((yield* view(name)).problem?.code, "boot-failed")
        assert.isEmpty(startsOf(name))
      }
      assert.deepStrictEqual(
        of("SenseBroken").map((event) => event.sense),
        ["bad", "worse"]
      )
      const before = startsOf("a").length
      yield* pass(10_000)
      assert.strictEqual(startsOf("a").length - before, 10)
      assert.isAtLeast(startsOf("c").length, 10)
      assert.isEmpty(of("ComputeInterrupted"))
      assert.lengthOf(children.all(), 4)
      isMended = true
      yield* pool.reload("bad", ["senses/bad.ts"])
      yield* pass(2_000)
      assert.isNull((yield* view("bad")).problem)
      assert.isNotEmpty(startsOf("bad"))
      assert.lengthOf(children.all(), 4)
    })
  )

  it.effect("later, of something else, has the one that was left out tried again, once", () =>
    Effect.gen(function* () {
      let isMended = false
      let crash = (): Effect.Effect<void> => Effect.void
      const dies = Effect.suspend(() => Effect.andThen(crash(), Effect.never))
      const { children, startsOf, view } = yield* start({
        senses: four,
        load: ({ senses }) => (senses.some(({ name }) => isBad(name)) && !isMended ? dies : Effect.void),
        boot: ({ name }) => (isBad(name) && !isMended ? dies : Effect.succeed({ name, problem: null }))
      })
      crash = () => children.living("main").exit({ code: 0, signal: null })
      yield* crash()
      yield* pass(10_000)
      assert.lengthOf(children.all(), 4)
      yield* children.living("main").exit({ code: null, signal: "SIGKILL" })
      yield* pass(20_000)
      assert.lengthOf(children.all(), 7)
      for (const name of ["bad", "worse"]) assert.strictEqual((yield* view(name)).problem?.code, "boot-failed")
      isMended = true
      yield* children.living("main").exit({ code: null, signal: "SIGKILL" })
      yield* pass(20_000)
      assert.lengthOf(children.all(), 8)
      for (const name of ["bad", "worse"]) {
        assert.isNull((yield* view(name)).problem)
        assert.isNotEmpty(startsOf(name))
      }
    })
  )

  it.effect("for no fault of its senses has them all back, and blames nobody", () =>
    Effect.gen(function* () {
      let starts = 0
      const { children, of, startsOf, view } = yield* start({
        senses: four,
        load: () => Effect.suspend(() => (++starts === 1 ? Effect.never : Effect.void))
      })
      yield* children.living("main").exit({ code: null, signal: "SIGKILL" })
      yield* pass(5_000)
      assert.lengthOf(children.all(), 2)
      assert.isEmpty(of("SenseBroken"))
      for (const { name } of four) {
        assert.strictEqual((yield* view(name)).status, "ok")
        assert.isNotEmpty(startsOf(name))
      }
    })
  )

  it.effect("of a sense that is alone in its group is not started with it again, until its file changes", () =>
    Effect.gen(function* () {
      let isMended = false
      let crash = (): Effect.Effect<void> => Effect.void
      const dies = Effect.suspend(() => Effect.andThen(crash(), Effect.never))
      const { children, pool, view } = yield* start({
        senses: [sense("bad")],
        load: ({ senses }) => (senses.length > 0 && !isMended ? dies : Effect.void),
        boot: ({ name }) => (isMended ? Effect.succeed({ name, problem: null }) : dies)
      })
      crash = () => children.living("main").exit({ code: 0, signal: null })
      yield* crash()
      yield* pass(60_000)
      assert.lengthOf(children.all(), 3)
      assert.strictEqual((yield* view("bad")).status, "failed")
      isMended = true
      yield* pool.reload("bad", ["senses/bad.ts"])
      yield* pass(1_000)
      assert.strictEqual((yield* view("bad")).status, "ok")
    })
  )

  it.effect("holds nobody up for a sense that takes long, or never, to boot alone", () =>
    Effect.gen(function* () {
      let starts = 0
      const { children, startsOf, view } = yield* start({
        senses: four,
        load: () => Effect.suspend(() => (++starts === 1 ? Effect.never : Effect.void)),
        boot: ({ name }) => (name === "a" ? Effect.never : Effect.succeed({ name, problem: null }))
      })
      yield* children.living("main").exit({ code: null, signal: "SIGKILL" })
      yield* pass(60_000)
      assert.lengthOf(children.all(), 2)
      assert.strictEqual((yield* view("a")).status, "waiting")
      for (const name of ["bad", "c", "worse"]) assert.isAtLeast(startsOf(name).length, 40)
    })
  )
})

describe("configure", () => {
  it.effect("adds a sense to a worker that runs, and tells all workers of their new peer", () =>
    Effect.gen(function* () {
      const cpu = sense("cpu", { intervalMs: 1_000 })
      const disk = sense("disk", { group: "slow" })
      const { asked, children, pool, startsOf } = yield* start({ senses: [cpu, disk] })
      yield* pool.configure([cpu, disk, sense("net", { intervalMs: 1_000 })])
      yield* pass(3_000)
      assert.lengthOf(children.all(), 2)
      assert.deepStrictEqual(boots(asked), ["net"])
      assert.isAtLeast(startsOf("net").length, 2)
      assert.deepStrictEqual(
        asked.flatMap((one) => (one._tag === "Peers" ? [[one.group, ...one.peers]] : [])),
        [
          ["main", "cpu", "disk", "net"],
          ["slow", "cpu", "disk", "net"]
        ]
      )
    })
  )

  it.effect("lets the compute of a removed sense finish, and then has its worker drop it", () =>
    Effect.gen(function* () {
      const { compute, release } = yield* held("cpu")
      const disk = sense("disk", { intervalMs: 1_000 })
      const { asked, events, of, pool } = yield* start({ senses: [sense("cpu"), disk], compute })
      yield* pool.trigger("cpu")
      yield* settle
      yield* pool.configure([disk])
      yield* pass(3_000)
      assert.isEmpty(asked.filter(({ _tag }) => _tag === "Drop"))
      assert.deepStrictEqual(
        (yield* pool.views).map((one) => String(one.name)),
        ["disk"]
      )
      yield* release
      yield* settle
      assert.deepStrictEqual(
        asked.flatMap((one) => (one._tag === "Drop" ? [one.sense] : [])),
        ["cpu"]
      )
      assert.isTrue(of("ComputeEnded").some((event) => event.sense === "cpu"))
      assert.isEmpty(events.filter(({ _tag }) => _tag === "ComputeInterrupted"))
    })
  )

  it.effect("kills the compute of a removed sense that never ends, as that of any other", () =>
    Effect.gen(function* () {
      const disk = sense("disk", { intervalMs: 10_000 })
      const { children, of, pool } = yield* start({
        senses: [sense("cpu"), disk],
        compute: ({ sense: name }) => (name === "cpu" ? Effect.never : Effect.succeed(noSignal))
      })
      yield* pool.trigger("cpu")
      yield* settle
      yield* pool.configure([disk])
      yield* pass(40_000, 500)
      assert.lengthOf(of("ComputeKilled"), 1)
      assert.lengthOf(children.all(), 2)
    })
  )

  it.effect("moves a sense to another group when it is idle; a group without senses has no worker", () =>
    Effect.gen(function* () {
      const { compute, release } = yield* held("cpu")
      const disk = sense("disk", { intervalMs: 1_000 })
      const { asked, children, events, pool, startsOf, view } = yield* start({
        senses: [sense("cpu", { group: "fast" }), disk],
        compute
      })
      yield* pool.trigger("cpu")
      yield* settle
      yield* pool.configure([sense("cpu", { intervalMs: 5_000 }), disk])
      yield* pass(2_000)
      assert.strictEqual((yield* view("cpu")).group, "fast")
      yield* release
      yield* pass(6_000)
      assert.strictEqual(String((yield* view("cpu")).group), "main")
      assert.deepStrictEqual(boots(asked), ["cpu"])
      assert.strictEqual(startsOf("cpu").at(-1)?.group, "main")
      const living = children.all().filter((child) => child.exited() === null)
      assert.deepStrictEqual(
        living.map((child) => child.key),
        ["main"]
      )
      assert.isEmpty(events.filter(({ _tag }) => _tag === "ComputeInterrupted"))
    })
  )

  it.effect("takes back a sense that is leaving still", () =>
    Effect.gen(function* () {
      const { compute, release } = yield* held("cpu")
      const [cpu, disk] = [sense("cpu", { intervalMs: 5_000 }), sense("disk")]
      const { asked, children, pool, startsOf } = yield* start({ senses: [cpu, disk], compute })
      yield* pass(1_000)
      yield* pool.configure([disk])
      yield* pool.configure([cpu, disk])
      yield* release
      yield* pass(10_000)
      assert.isEmpty(asked.filter(({ _tag }) => _tag !== "Peers"))
      assert.lengthOf(children.all(), 1)
      assert.isAtLeast(startsOf("cpu").length, 3)
    })
  )

  it.effect("boots a sense with another timeout anew, in the code that it has", () =>
    Effect.gen(function* () {
      const disk = sense("disk")
      const { asked, children, of, pool } = yield* start({ senses: [sense("cpu"), disk] })
      yield* pool.configure([sense("cpu", { timeoutMs: 1_000, throttleMs: 5 }), disk])
      yield* settle
      assert.deepStrictEqual(
        asked.flatMap((one) => (one._tag === "Boot" ? [one.init] : [])),
        [{ name: sense("cpu").name, timeoutMs: 1_000 }]
      )
      assert.lengthOf(children.all(), 1)
      assert.isEmpty(of("SenseReloaded"))
    })
  )

  it.effect("finds a worker up to date that was just starting", () =>
    Effect.gen(function* () {
      const [cpu, disk, net] = [sense("cpu"), sense("disk"), sense("net", { intervalMs: 1_000 })]
      const { asked, children, pool, startsOf } = yield* start({ senses: [cpu, disk] })
      yield* children.living("main").exit({ code: 1, signal: null })
      yield* settle
      // The next one has been told of its senses, and is not ready yet.
      yield* TestClock.adjust(1_000)
      yield* pool.configure([cpu, net])
      yield* pass(5_000)
      assert.include(boots(asked), "net")
      assert.deepStrictEqual(
        asked.flatMap((one) => (one._tag === "Drop" ? [one.sense] : [])),
        ["disk"]
      )
      assert.isAtLeast(startsOf("net").length, 3)
      assert.lengthOf(children.all(), 2)
    })
  )
})
