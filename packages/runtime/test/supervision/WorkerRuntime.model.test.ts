/**
 * Any sequence of what callers, operators, dying and hanging workers may do, against a small model: every call
 * ends in an answer or a typed error, and by itself, at most one child of a key lives, and nothing is left at the
 * end. `NERVE_MODEL_RUNS` and `NERVE_SEED` say how many and which; a failure names its seed and its path, and
 * `NERVE_PATH` runs that one alone.
 */
import { assert, describe, it } from "@effect/vitest"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import type { WorkerEvent } from "@nerve/runtime/supervision/WorkerEvent"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import * as FakeSpawner from "@nerve/runtime/testing/FakeSpawner"
import { Effect, Exit, type Fiber, Latch } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { EchoRpcs, makeProbe, program } from "./EchoWorker.ts"
import { errorTag, settle } from "./harness.ts"

const keys = ["a", "b"] as const
type Key = (typeof keys)[number]

type Command = { readonly key: Key } & (
  | {
      readonly _tag:
        | "Start"
        | "Drain"
        | "Reset"
        | "Kill"
        | "Freeze"
        | "CloseChannel"
        | "FullOn"
        | "FullOff"
        | "Interrupt"
    }
  | { readonly _tag: "Call"; readonly method: "Echo" | "Hang" | "Die" }
  | { readonly _tag: "Crash"; readonly code: number }
  | { readonly _tag: "Evict"; readonly fast: boolean }
  | { readonly _tag: "FailSpawns" | "Stubborn" | "HoldBoot"; readonly on: boolean }
  | { readonly _tag: "Wait"; readonly ms: number }
  | { readonly _tag: "Shutdown" }
)

const of = <Fields extends object>(fields: { readonly [Name in keyof Fields]: fc.Arbitrary<Fields[Name]> }) =>
  fc.record({ key: fc.constantFrom(...keys), ...fields }, { noNullPrototype: true })

const command = fc.oneof(
  { weight: 4, arbitrary: of({ _tag: fc.constant("Call"), method: fc.constantFrom("Echo", "Hang", "Die") }) },
  { weight: 3, arbitrary: of({ _tag: fc.constant("Wait"), ms: fc.constantFrom(0, 0, 1, 500, 1000, 5000, 11_000) }) },
  { weight: 2, arbitrary: of({ _tag: fc.constantFrom("Start", "Drain", "Reset", "Kill", "Interrupt") }) },
  { weight: 1, arbitrary: of({ _tag: fc.constantFrom("Freeze", "CloseChannel") }) },
  { weight: 2, arbitrary: of({ _tag: fc.constantFrom("FullOn", "FullOn", "FullOff") }) },
  { weight: 2, arbitrary: of({ _tag: fc.constant("Crash"), code: fc.nat(3) }) },
  { weight: 2, arbitrary: of({ _tag: fc.constant("Evict"), fast: fc.boolean() }) },
  { weight: 1, arbitrary: of({ _tag: fc.constantFrom("FailSpawns", "Stubborn", "HoldBoot"), on: fc.boolean() }) },
  { weight: 1, arbitrary: fc.oneof({ weight: 1, arbitrary: of({ _tag: fc.constant("Shutdown") }) }) }
) as fc.Arbitrary<Command>

/** What a call may end with, besides its own answer. */
const allowed = new Set(["WorkerDied", "WorkerStopped", "RespawnLimitReached", "MailboxFull"])

interface Asked {
  readonly key: Key
  readonly what: string
  readonly text: string
  readonly fiber: Fiber.Fiber<Exit.Exit<unknown, unknown>>
  interrupted: boolean
}

const scenario = (commands: ReadonlyArray<Command>) =>
  Effect.gen(function* () {
    const probe = makeProbe()
    const boot = Latch.makeUnsafe(true)
    const events: Array<WorkerEvent<Key>> = []
    const asked: Array<Asked> = []
    const layer = FakeSpawner.layer(() => Effect.andThen(boot.await, program(probe)))
    yield* Effect.gen(function* () {
      const runtime = yield* WorkerRuntime.make({
        rpcs: EchoRpcs,
        worker: (_key: Key) => WorkerSpec.command("fake"),
        respawn: RespawnPolicy.intensity({ max: 4, within: "20 seconds", delay: "1 second" }),
        stop: StopPolicy.make({ drain: "5 seconds", polite: "2 seconds", term: "1 second" }),
        mailbox: 5,
        heartbeat: { interval: "1 second", timeout: "4 seconds" },
        // As slow as a write to the log.
        onEvent: (event) =>
          Effect.andThen(
            Effect.yieldNow,
            Effect.sync(() => void events.push(event))
          )
      })
      const children = yield* FakeSpawner.FakeChildren
      const living = (key: Key) => children.all().filter((child) => child.key === key && child.exited() === null)
      let down = false

      const ask = Effect.fnUntraced(function* (
        key: Key,
        what: string,
        effect: Effect.Effect<unknown, unknown>,
        text = ""
      ) {
        asked.push({ key, what, text, fiber: yield* Effect.forkDetach(Effect.exit(effect)), interrupted: false })
      })

      const carryOut = Effect.fnUntraced(function* (one: Command, n: number) {
        const { key } = one
        const child = living(key)[0]
        switch (one._tag) {
          case "Start":
            return yield* ask(key, "start", runtime.start(key))
          case "Call": {
            const client = yield* runtime.client(key)
            const text = `${key}${n}`
            if (one.method === "Echo") return yield* ask(key, "Echo", client.Echo({ text }), text)
            if (one.method === "Hang") return yield* ask(key, "Hang", client.Hang())
            return yield* ask(key, "Die", client.Die({ why: "told to" }))
          }
          case "Interrupt": {
            const last = asked.findLast((call) => call.key === key && call.fiber.pollUnsafe() === undefined)
            if (last === undefined || last.what === "evict" || last.what === "shutdown") return
            last.interrupted = true
            last.fiber.interruptUnsafe()
            return
          }
          case "Drain":
            return yield* ask(key, "drain", runtime.drain(key))
          case "Reset":
            return yield* ask(key, "reset", runtime.reset(key))
          case "Kill":
            return yield* runtime.kill(key)
          case "Evict":
            yield* ask(key, "evict", one.fast ? runtime.evict(key, StopPolicy.kill) : runtime.evict(key))
            yield* settle
            return assert.isFalse(runtime.has(key))
          case "Crash":
            return yield* child?.exit({ code: one.code, signal: null }) ?? Effect.void
          case "Freeze":
            // It reads nothing any more, no ping and no stop: only the heartbeat or the ladder ends it.
            return child?.channel.pauseUnsafe()
          case "CloseChannel":
            return child?.channel.closeUnsafe()
          case "FullOn":
          case "FullOff":
            return child?.parentChannel.setFullUnsafe(one._tag === "FullOn")
          case "FailSpawns":
            return children.failSpawns(key, one.on)
          case "Stubborn":
            return children.stubborn(key, one.on)
          case "HoldBoot":
            return one.on ? boot.closeUnsafe() : boot.openUnsafe()
          case "Wait":
            return yield* TestClock.adjust(one.ms)
          case "Shutdown":
            down = true
            return yield* ask(key, "shutdown", runtime.shutdown)
        }
      })

      for (const [n, one] of commands.entries()) {
        const spawned = children.all().length
        yield* carryOut(one, n)
        for (const key of keys) assert.isAtMost(living(key).length, 1, `children of ${key}`)
        if (down && one._tag !== "Shutdown")
          assert.strictEqual(children.all().length, spawned, "spawned after shutdown")
      }

      // Everything is allowed again; then each key that is not shut down serves.
      boot.openUnsafe()
      for (const key of keys) {
        children.failSpawns(key, false)
        children.stubborn(key, false)
        living(key)[0]?.parentChannel.setFullUnsafe(false)
      }
      yield* TestClock.adjust("1 minute")
      // Nobody needs another call to get on (what waits has a worker, or one that is on its way), nor the runtime's end.
      for (const { fiber, key, what } of asked) {
        if (what !== "Hang") assert.isDefined(fiber.pollUnsafe(), `${what} of ${key} has stalled`)
      }
      for (const key of keys) {
        yield* runtime.reset(key)
        yield* Effect.forkDetach(runtime.start(key))
        yield* TestClock.adjust("1 minute")
        const client = yield* runtime.client(key)
        const last = yield* Effect.forkDetach(Effect.exit(client.Echo({ text: "last" })))
        yield* settle
        const exit = last.pollUnsafe()
        assert.isDefined(exit, `${key} serves or refuses`)
        const answer = Exit.isSuccess(exit) ? exit.value : exit
        if (down) assert.strictEqual(errorTag(answer), "WorkerStopped")
        else assert.deepStrictEqual(answer, Exit.succeed("last"))
      }
    }).pipe(Effect.onError(unwound), Effect.scoped, Effect.provide(layer))

    // The runtime is gone: nobody may wait any more.
    yield* settle
    for (const { fiber, interrupted, key, text, what } of asked) {
      const outer = fiber.pollUnsafe()
      assert.isDefined(outer, `${what} of ${key} ended`)
      if (interrupted || Exit.isFailure(outer)) continue
      const exit = outer.value
      if (Exit.isSuccess(exit)) {
        if (what === "Echo") assert.strictEqual(exit.value, text)
        continue
      }
      const tag = errorTag(exit)
      if (what === "Die") assert.isTrue(allowed.has(tag) || tag.includes("told to"), tag)
      else assert.isTrue(allowed.has(tag), `${what} of ${key} ended with ${tag}`)
    }
    check(events)
    // No call is carried out twice, and those of one key keep their order (R4).
    for (const key of keys) {
      const numbers = probe.echoed.filter((text) => text.startsWith(key)).map((text) => Number(text.slice(1)))
      assert.deepStrictEqual(
        numbers,
        [...new Set(numbers)].sort((x, y) => x - y)
      )
    }
  })

/** Of a run that has failed the workers go down the ladder, which takes time: else it would hang, and not say how it failed. */
const unwound = () =>
  Effect.forkDetach(Effect.repeat(Effect.andThen(TestClock.adjust("1 second"), Effect.yieldNow), { times: 60 }))

/** Each start that was told of has one exit that was told of, and what is told comes in order (R11). */
const check = (events: ReadonlyArray<WorkerEvent<Key>>) => {
  for (const key of keys) {
    let living: number | undefined
    for (const event of events) {
      if (event.key !== key) continue
      if (event._tag === "WorkerStarting") {
        assert.isUndefined(living, "one starts while another lives")
        living = event.incarnation
      } else if (event._tag === "WorkerReady") assert.strictEqual(event.incarnation, living)
      else if (event._tag === "WorkerExited") {
        assert.strictEqual(event.incarnation, living)
        living = undefined
      }
    }
    assert.isUndefined(living, "an exit was not told")
  }
}

const seed = Number(process.env["NERVE_SEED"] ?? Date.now() % 1_000_000)
const path = process.env["NERVE_PATH"]

describe("WorkerRuntime, any sequence", () => {
  it.effect(
    `answers or refuses every call, has one child of a key at most, tells of each exit, leaves nothing (NERVE_SEED=${seed})`,
    () =>
      Effect.promise(() =>
        // A failure prints the seed, the path and the shortest sequence that shows it.
        fc.assert(
          fc.asyncProperty(fc.array(command, { maxLength: 40 }), (commands) =>
            Effect.runPromise(Effect.provide(scenario(commands), TestClock.layer()))
          ),
          { numRuns: Number(process.env["NERVE_MODEL_RUNS"] ?? 2000), seed, ...(path !== undefined && { path }) }
        )
      ),
    240_000
  )
})
