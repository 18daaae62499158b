/**
 * Pools to which anything happens in any order: calls, deaths, hangs, interruptions, reloads, resizes,
 * full channels, time. Whatever it was, every call ends, none twice, none with another's answer, and
 * no job runs twice.
 */
import { assert, describe, it } from "@effect/vitest"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import { Effect, Exit, type Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { errorTag, settle, type Setup, setup } from "./PoolWorker.ts"

type Happening =
  | { readonly _tag: "Call"; readonly method: "Wait" | "Deaf"; readonly timeoutMs: number }
  | { readonly _tag: "Open" | "Interrupt" | "Exit" | "CloseChannel" | "Fill" | "Drain"; readonly which: number }
  | { readonly _tag: "Pass"; readonly ms: number }
  | { readonly _tag: "Resize"; readonly size: number }
  | { readonly _tag: "Reload" }

const about = (tag: Extract<Happening, { readonly which: number }>["_tag"]): fc.Arbitrary<Happening> =>
  fc.nat({ max: 100 }).map((which) => ({ _tag: tag, which }))

const happening: fc.Arbitrary<Happening> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      _tag: fc.constant("Call" as const),
      method: fc.constantFrom("Wait" as const, "Wait" as const, "Deaf" as const),
      timeoutMs: fc.constantFrom(100, 1000, Infinity)
    })
  },
  { weight: 6, arbitrary: about("Open") },
  { weight: 3, arbitrary: about("Interrupt") },
  { weight: 3, arbitrary: about("Exit") },
  { weight: 1, arbitrary: about("CloseChannel") },
  { weight: 1, arbitrary: about("Fill") },
  { weight: 1, arbitrary: about("Drain") },
  {
    weight: 4,
    arbitrary: fc.record({ _tag: fc.constant("Pass" as const), ms: fc.constantFrom(0, 10, 100, 1000, 5000) })
  },
  {
    weight: 1,
    arbitrary: fc.record({ _tag: fc.constant("Resize" as const), size: fc.integer({ min: 1, max: 4 }) })
  },
  { weight: 1, arbitrary: fc.constant<Happening>({ _tag: "Reload" }) }
)

const settings = fc.record({
  size: fc.oneof(fc.integer({ min: 1, max: 3 }), fc.constant({ minimum: 0, maximum: 3 })),
  concurrencyPerWorker: fc.integer({ min: 1, max: 3 }),
  queue: fc.constantFrom(0, 3, 1024),
  maxJobs: fc.constantFrom(0, 1, 3),
  ttl: fc.constantFrom("1 hour" as const, "2 seconds" as const)
})

const allowed = ["success", "Busy", "WorkerDied", "CallTimeout", "interrupted"]

describe("WorkerPool, whatever happens", () => {
  it.live(
    "ends every call once, with its own answer or an error that says why, and runs no job twice",
    () =>
      Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(
            settings,
            fc.array(happening, { minLength: 5, maxLength: 60, size: "max" }),
            (options, happenings) => Effect.runPromise(Effect.provide(live(options, happenings), TestClock.layer()))
          ),
          { numRuns: Number(process.env["NERVE_POOL_RUNS"] ?? 50) }
        )
      ),
    180_000
  )
})

const live = (
  options: Pick<Setup, "size" | "concurrencyPerWorker" | "queue" | "maxJobs" | "ttl">,
  happenings: ReadonlyArray<Happening>
) =>
  setup(
    {
      ...options,
      growAfter: 50,
      idleTimeout: "3 seconds",
      respawn: RespawnPolicy.spaced("20 millis"),
      stop: StopPolicy.make({ drain: "5 seconds", polite: "1 second", term: "1 second" })
    },
    ({ children, pool, probe }) =>
      Effect.gen(function* () {
        const calls: Array<{ readonly gate: string; readonly fiber: Fiber.Fiber<string, unknown> }> = []
        const living = () => children.all().filter((child) => child.exited() === null)
        const pick = <A>(items: ReadonlyArray<A>, which: number): A | undefined => items[which % items.length]

        const happen = Effect.fnUntraced(function* (one: Happening) {
          switch (one._tag) {
            case "Call": {
              const gate = String(calls.length)
              const call = pool.client[one.method]({ gate }, { timeoutMs: one.timeoutMs })
              calls.push({ gate, fiber: yield* Effect.forkChild(call) })
              return
            }
            case "Open":
              return yield* probe.open(pick(calls, one.which)?.gate ?? "none")
            case "Interrupt":
              return void pick(calls, one.which)?.fiber.interruptUnsafe()
            case "Exit":
              return yield* pick(living(), one.which)?.exit({ code: one.which % 2, signal: null }) ?? Effect.void
            case "CloseChannel":
              return pick(living(), one.which)?.parentChannel.endUnsafe({ _tag: "Closed" })
            case "Fill":
              return pick(living(), one.which)?.parentChannel.setFullUnsafe(true)
            case "Drain":
              return pick(living(), one.which)?.parentChannel.setFullUnsafe(false)
            case "Pass":
              return yield* TestClock.adjust(one.ms)
            case "Resize":
              return yield* pool.resize(one.size)
            case "Reload":
              return void (yield* Effect.forkChild(Effect.exit(pool.reload)))
          }
        })
        for (const one of happenings) {
          yield* happen(one)
          yield* settle
        }

        // From here on all goes well.
        for (const child of living()) child.parentChannel.setFullUnsafe(false)
        for (let round = 0; round < 5; round++) {
          yield* probe.open(...calls.map((call) => call.gate))
          yield* TestClock.adjust("30 seconds")
        }
        for (const { fiber, gate } of calls) {
          const exit = fiber.pollUnsafe()
          assert.isDefined(exit, `call ${gate} never ended`)
          if (exit === undefined) continue
          if (Exit.isSuccess(exit)) assert.strictEqual(exit.value, gate, "the answer to another call")
          const tag = Exit.hasInterrupts(exit) ? "interrupted" : errorTag(exit)
          assert.include(allowed, tag)
        }
        assert.strictEqual(new Set(probe.begun).size, probe.begun.length, "a job ran twice")
        assert.deepInclude(yield* pool.info, { queued: 0, running: 0 })
        assert.strictEqual(yield* pool.client.Echo({ text: "still there" }, { waitMs: 1000 }), "still there")
      })
  )
