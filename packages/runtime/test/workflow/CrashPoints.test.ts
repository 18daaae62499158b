/**
 * Crash points: a daemon that dies right before or right after each of its appends, one after the
 * other, and the next one on the same log. Whatever the point, all comes to the end that it comes to
 * without a death, and no finished round is asked for again (M4-M9, M13).
 */
import { describe, expect, it } from "@effect/vitest"
import { RoleFailed, type RoundOutcome } from "@nerve/core/wire/WorkflowRpcs"
import { Deferred, Effect } from "effect"
import * as World from "./World.ts"
import { configOf, over, speaks, spoke } from "./World.ts"

/** What a scenario does to each daemon that lives; it must be safe to ask again what was asked before. */
interface Scenario {
  readonly name: string
  readonly script: World.Script
  readonly ask: (daemon: World.Daemon, world: World.World) => Effect.Effect<unknown, unknown>
}

const keyed = (daemon: World.Daemon, prompt: string, more: { readonly priority?: number } = {}) =>
  daemon.manager.trigger({ workflow: "talk", prompt, cause: "manual", key: prompt, ...more })

const waits = (request: Extract<RoundOutcome, { _tag: "Waits" }>["request"]): RoundOutcome => ({
  _tag: "Waits",
  role: "gate",
  request
})

const scenarios: ReadonlyArray<Scenario> = [
  {
    name: "queued and started in their order, by priority",
    script: speaks(2),
    ask: (daemon) =>
      Effect.forEach(["a", "b", "c", "d"], (prompt) => keyed(daemon, prompt, { priority: prompt === "d" ? 1 : 0 }))
  },
  {
    name: "a failure, and its retry",
    script: (round) =>
      round.start.maxRounds === 20 && round.steps.length === 1
        ? Effect.fail(new RoleFailed({ role: "speaker", message: "no", stack: null }))
        : speaks(3)(round),
    ask: (daemon, world) =>
      Effect.gen(function* () {
        const { threadId } = yield* keyed(daemon, "a")
        const run = yield* daemon.manager.ended(threadId)
        if (run?.status === "failed") yield* daemon.manager.control.retry(threadId, 21)
        yield* world.logged(threadId, "completed")
      })
  },
  {
    name: "an approval, a sleep and a child",
    script: (round) => {
      const { start, steps } = round
      if (start.prompt.startsWith("child")) return speaks(1)(round)
      switch (steps.length) {
        case 0:
          return Effect.succeed(waits({ _tag: "Approval", question: "?", schema: null, timeoutMs: null }))
        case 1:
          return Effect.succeed(waits({ _tag: "Sleep", durationMs: 0, until: null }))
        case 2:
          return Effect.succeed(waits({ _tag: "Child", workflow: "talk", prompt: "child", maxRounds: null }))
        default:
          return Effect.succeed(steps.length === 3 ? spoke("done") : over)
      }
    },
    ask: (daemon, world) =>
      Effect.gen(function* () {
        const { threadId } = yield* keyed(daemon, "a")
        const run = yield* world.store.run(threadId)
        if ((run?.rounds ?? 0) === 0) {
          yield* world.logged(threadId, "waiting")
          yield* daemon.manager.control.answer({ threadId, decision: "approved", by: "x", reason: "" })
        }
        yield* world.logged(threadId, "completed")
      })
  },
  {
    name: "a pause and a kill",
    // The one that is killed would go on for ever.
    script: (round) => (round.start.prompt === "b" ? Effect.never : speaks(3)(round)),
    ask: (daemon, world) =>
      Effect.gen(function* () {
        const { threadId } = yield* keyed(daemon, "a")
        const other = yield* keyed(daemon, "b")
        yield* daemon.manager.pauseWorkflow("talk", "check")
        yield* Effect.ignore(daemon.manager.control.pause(other.threadId, "p"))
        yield* daemon.manager.kill(other.threadId)
        yield* daemon.manager.resumeWorkflow("talk")
        yield* world.logged(threadId, "completed")
      })
  }
]

/** How all ended, by prompt. */
const endsOf = Effect.fnUntraced(function* (world: World.World) {
  const runs = yield* world.store.runs({})
  return yield* Effect.forEach(runs, (run) =>
    Effect.map(world.store.messages(run.threadId), (messages) => ({
      prompt: run.prompt,
      status: run.status,
      said: messages.map(({ content, role }) => `${role}: ${content}`)
    }))
  ).pipe(Effect.map((ends) => ends.sort((a, b) => a.prompt.localeCompare(b.prompt))))
})

/** Rounds that were asked for after they had been recorded. */
const repeated = (world: World.World): ReadonlyArray<string> => {
  const recorded = new Set<string>()
  return world.trace.flatMap((line) => {
    const [what = "", ...rest] = line.split(" ")
    const round = rest.join(" ")
    if (what === "message") recorded.add(round)
    return what === "ask" && recorded.has(round) ? [round] : []
  })
}

/** A daemon that dies at its nth append (never: 0), and one after it that brings all to its end. */
const live = Effect.fnUntraced(function* (scenario: Scenario, nth: number, fate: "lost" | "unheard") {
  const world = yield* World.make
  world.script = scenario.script
  const died = yield* Deferred.make<void>()
  let appends = 0
  world.fate = () => {
    appends++
    if (appends === nth) Deferred.doneUnsafe(died, Effect.void)
    // A dead daemon writes nothing any more.
    return nth === 0 || appends < nth ? "made" : appends === nth ? fate : "lost"
  }
  const first = yield* world.daemon(configOf({}))
  yield* Effect.raceFirst(
    Effect.andThen(Effect.ignore(scenario.ask(first, world)), first.manager.awaitIdle),
    Deferred.await(died)
  )
  yield* first.die
  const made = appends
  world.fate = () => "made"
  const second = yield* world.daemon(configOf({}))
  yield* scenario.ask(second, world)
  yield* second.manager.awaitIdle
  return { appends: made, ends: yield* endsOf(world), repeated: repeated(world) }
})

describe("a daemon that dies at any append", () => {
  for (const scenario of scenarios) {
    it.effect(`leaves what leads to the same end: ${scenario.name}`, () =>
      Effect.gen(function* () {
        const model = yield* Effect.scoped(live(scenario, 0, "lost"))
        expect(model.appends).toBeGreaterThan(4)
        for (let nth = 1; nth <= model.appends; nth++) {
          for (const fate of ["lost", "unheard"] as const) {
            const { ends, repeated } = yield* Effect.scoped(live(scenario, nth, fate))
            const where = `append ${nth} ${fate}`
            expect([where, ends]).toEqual([where, model.ends])
            expect([where, repeated]).toEqual([where, []])
          }
        }
      })
    )
  }
})
