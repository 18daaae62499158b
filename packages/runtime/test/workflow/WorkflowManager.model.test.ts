/**
 * Random sequences of what may happen to a workflow, over several daemons on one log: whatever comes,
 * every run ends exactly once (and once more for each retry), the cap holds, no finished round is asked
 * for again, nobody overtakes. Threads also wait for answers, and are paused, resumed and retried.
 */
import { describe, expect, it } from "@effect/vitest"
import type { ThreadId } from "@nerve/core/domain/Ids"
import { isActive } from "@nerve/core/domain/Thread"
import { RoleFailed } from "@nerve/core/wire/WorkflowRpcs"
import { Effect, Schema } from "effect"
import * as World from "./World.ts"
import { configOf, over, spoke } from "./World.ts"

const Step = Schema.Struct({
  kind: Schema.Literals([
    "trigger",
    "trigger",
    "trigger",
    "trigger",
    "kill",
    "crash",
    "daemon",
    "drain",
    "drainIdle",
    "reset",
    "limits",
    "diskFull",
    "answer",
    "answer",
    "pause",
    "resume",
    "retry",
    "pauseAll",
    "resumeAll",
    "code"
  ]),
  /** Which thread, or how large. */
  nth: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 })),
  /** Turns that everything else gets before the next step. */
  turns: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 12 }))
})

const ends = new Set(["completed", "failed", "dropped", "interrupted", "killed", "final"])

const answer = (daemon: World.Daemon, threadId = "nobody") =>
  daemon.manager.control.answer({ threadId, decision: "approved", by: "x", reason: "" })

describe("WorkflowManager, any sequence", () => {
  it.effect.prop(
    "ends every run exactly once, within the cap, in order, no round twice",
    { steps: Schema.Array(Step).check(Schema.isMinLength(25), Schema.isMaxLength(60)), queue: Schema.Boolean },
    ({ queue, steps }) =>
      Effect.gen(function* () {
        const world = yield* World.make
        // Threads differ: 0 to 3 rounds of a few turns; every seventh fails.
        world.script = ({ start, steps }) => {
          const n = Number(start.prompt)
          const turns = Effect.forEach(Array.from({ length: 3 + ((n * 5) % 23) }), () => Effect.yieldNow, {
            discard: true
          })
          if (n % 7 === 6)
            return Effect.andThen(turns, Effect.fail(new RoleFailed({ role: "r", message: "m", stack: null })))
          // Every third waits for an answer before it goes on.
          if (n % 3 === 2 && steps.length === 1) {
            const request = { _tag: "Approval", question: "?", schema: null, timeoutMs: null } as const
            return Effect.as(turns, { _tag: "Waits", role: "gate", request } as const)
          }
          return Effect.as(turns, steps.length < n % 4 ? spoke(`${n}`) : over)
        }
        const overflow = queue ? "queue" : "drop"
        let cap = 2
        let largestCap = 2
        const config = () => configOf({ concurrency: cap, overflow, maxQueue: 4 })
        let daemon = yield* world.daemon(config())
        const ids: Array<ThreadId> = []
        let prompts = 0

        for (const step of steps) {
          switch (step.kind) {
            case "trigger": {
              const prompt = String(prompts++)
              const triggered = yield* Effect.option(
                daemon.manager.trigger({ workflow: "talk", prompt, cause: "manual" })
              )
              if (triggered._tag === "Some") ids.push(triggered.value.threadId)
              break
            }
            case "kill":
              yield* Effect.forkChild(
                Effect.ignore(daemon.manager.kill(ids[ids.length - 1 - (step.nth % 4)] ?? "nobody"))
              )
              break
            case "crash": {
              const child = world.children.all().findLast((one) => one.exited() === null)
              yield* child?.exit({ code: 1, signal: null }) ?? Effect.void
              break
            }
            case "daemon":
              world.disk.full = false
              yield* daemon.die
              daemon = yield* world.daemon(config())
              break
            case "drain":
              yield* Effect.forkChild(daemon.manager.drainAndRespawn("talk"))
              break
            case "drainIdle":
              yield* Effect.forkChild(daemon.manager.drainWhenIdle("talk"))
              break
            case "reset":
              yield* Effect.forkChild(daemon.manager.reset("talk"))
              break
            case "limits":
              cap = 1 + (step.nth % 3)
              largestCap = Math.max(largestCap, cap)
              world.disk.full = false
              yield* daemon.manager.configure(config())
              break
            case "answer":
              yield* Effect.forkChild(Effect.ignore(answer(daemon, ids[step.nth % Math.max(1, ids.length)])))
              break
            case "pause":
              yield* Effect.forkChild(
                Effect.ignore(daemon.manager.control.pause(ids[ids.length - 1 - (step.nth % 4)] ?? "nobody", "x"))
              )
              break
            case "resume":
              yield* Effect.forkChild(
                Effect.ignore(daemon.manager.control.resume(ids[ids.length - 1 - (step.nth % 4)] ?? "nobody", false))
              )
              break
            case "retry":
              yield* Effect.forkChild(
                Effect.ignore(daemon.manager.control.retry(ids[step.nth % Math.max(1, ids.length)] ?? "nobody"))
              )
              break
            case "pauseAll":
              yield* Effect.ignore(daemon.manager.pauseWorkflow("talk", "x"))
              break
            case "resumeAll":
              yield* Effect.ignore(daemon.manager.resumeWorkflow("talk"))
              break
            case "code":
              yield* Effect.forkChild(daemon.manager.codeChanged("talk"))
              break
            case "diskFull":
              world.disk.full = step.nth < 5
              break
          }
          yield* Effect.forEach(Array.from({ length: step.turns }), () => Effect.yieldNow, { discard: true })
        }

        // All is well again: a last daemon brings everything to its end.
        world.disk.full = false
        yield* daemon.die
        daemon = yield* world.daemon(config())
        yield* daemon.manager.resumeWorkflow("talk")
        // Whoever holds still is helped on, until nobody does.
        for (let left = yield* world.store.activeRuns; left.length > 0; left = yield* world.store.activeRuns) {
          for (const { threadId } of left) {
            yield* Effect.ignore(daemon.manager.control.resume(threadId, false))
            yield* Effect.ignore(answer(daemon, threadId))
          }
          yield* daemon.manager.awaitIdle
        }

        const entries = yield* world.store.query({ source: "workflow", limit: 100_000 })
        const started: Array<number> = []
        const finished = new Map<string, number>()
        const retried = new Map<string, number>()
        const moved = new Set<number>()
        const active = new Set<string>()
        for (const entry of entries) {
          const id = entry.refId ?? ""
          if (entry.type === "retried") retried.set(id, (retried.get(id) ?? 0) + 1)
          // Who waits or holds still has no slot; who did so, or was taken up again, has another place.
          if (entry.type === "waiting" || entry.type === "paused") active.delete(id)
          if (entry.type === "paused" || entry.type === "retried") moved.add(ids.indexOf(id as ThreadId))
          if (entry.type === "started") {
            active.add(id)
            if (!started.includes(ids.indexOf(id as ThreadId))) started.push(ids.indexOf(id as ThreadId))
            expect(active.size).toBeLessThanOrEqual(largestCap)
          }
          const final =
            typeof entry.payload === "object" &&
            entry.payload !== null &&
            "final" in entry.payload &&
            entry.payload.final === true
          if (ends.has(entry.type) || final) {
            active.delete(id)
            finished.set(id, (finished.get(id) ?? 0) + 1)
          }
        }
        const runs = yield* world.store.runs({})
        expect(runs.map((run) => run.threadId).sort()).toEqual([...ids].sort())
        expect(runs.filter((run) => isActive(run.status))).toEqual([])
        for (const id of ids) expect([id, finished.get(id)]).toEqual([id, 1 + (retried.get(id) ?? 0)])
        const inPlace = started.filter((index) => !moved.has(index))
        expect(inPlace).toEqual([...inPlace].sort((a, b) => a - b))

        // Nothing is asked for before it is started, and no round after it is recorded.
        const done = new Map<string, number>()
        const sent = new Set<string>()
        for (const line of world.trace) {
          const [type = "", prompt = "", round] = line.split(" ")
          if (type === "started") sent.add(prompt)
          if (type === "message") done.set(prompt, Number(round))
          if (type !== "ask") continue
          expect(sent.has(prompt)).toBe(true)
          expect(Number(round)).toBe((done.get(prompt) ?? 0) + 1)
        }
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 200 }, timeout: 300_000 }
  )
})
