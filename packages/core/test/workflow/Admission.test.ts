/**
 * The rules of admission, by example and for random sequences of what may happen.
 */
import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Admission from "@nerve/core/workflow/Admission"

const queueing = (over: Partial<Admission.Limits> = {}): Admission.Limits => ({
  concurrency: 1,
  overflow: "queue",
  maxQueue: 2,
  hold: "none",
  ...over
})

const dropping = (over: Partial<Admission.Limits> = {}): Admission.Limits => queueing({ overflow: "drop", ...over })

/** Feeds inputs one after the other; returns the last state and all actions, as `Tag id`. */
const feed = (
  limits: Admission.Limits,
  inputs: ReadonlyArray<Admission.Input>,
  from: Admission.State = Admission.empty
) => {
  let state = from
  const log: Array<string> = []
  for (const input of inputs) {
    const decision = Admission.decide(state, input, limits)
    state = decision.state
    log.push(...decision.actions.map((action) => `${action._tag} ${action.id}`))
  }
  return { state, log, active: [...state.active], queue: state.queue }
}

const trigger = (id: string): Admission.Input => ({ _tag: "Triggered", id })
const ended = (id: string): Admission.Input => ({ _tag: "Ended", id })
const killed = (id: string): Admission.Input => ({ _tag: "Killed", id })

describe("Admission", () => {
  it("starts up to the concurrency and drops the rest when overflow is drop", () => {
    expect(feed(dropping({ concurrency: 2 }), [trigger("a"), trigger("b"), trigger("c")]).log).toEqual([
      "Start a",
      "Start b",
      "Reject c"
    ])
  })

  it("queues when overflow is queue, and drops the oldest queued one when full", () => {
    const { log, queue } = feed(queueing(), ["a", "b", "c", "d"].map(trigger))
    expect(log).toEqual(["Start a", "Enqueue b", "Enqueue c", "Drop b", "Enqueue d"])
    expect(queue).toEqual(["c", "d"])
  })

  it("turns the newcomer away when the queue has no places at all", () => {
    const decision = Admission.decide({ active: new Set(["a"]), queue: [] }, trigger("b"), queueing({ maxQueue: 0 }))
    expect(decision.actions).toEqual([{ _tag: "Reject", id: "b", why: "no-place" }])
  })

  it("starts the next queued one, in order, when one ends", () => {
    expect(feed(queueing(), [trigger("a"), trigger("b"), trigger("c"), ended("a"), ended("b")]).log).toEqual([
      "Start a",
      "Enqueue b",
      "Enqueue c",
      "Start b",
      "Start c"
    ])
  })

  it("lets no newcomer jump the queue", () => {
    // b waits although a slot is free: only a state from outside could say so, and b still comes first.
    const { log } = feed(queueing({ concurrency: 2 }), [trigger("c")], { active: new Set(["a"]), queue: ["b"] })
    expect(log).toEqual(["Enqueue c"])
  })

  it("withdraws a killed one from the queue, and has an active one stopped without freeing its slot yet", () => {
    const { active, log, queue } = feed(queueing(), [
      trigger("a"),
      trigger("b"),
      killed("b"),
      killed("a"),
      trigger("c")
    ])
    expect(log).toEqual(["Start a", "Enqueue b", "Withdraw b", "Stop a", "Enqueue c"])
    expect([active, queue]).toEqual([["a"], ["c"]])
  })

  it("ignores ends and kills of whom it does not know", () => {
    expect(feed(queueing(), [ended("x"), killed("x"), trigger("a"), ended("a"), ended("a")]).log).toEqual(["Start a"])
  })

  it("starts queued ones when the concurrency is raised, and stops nobody when it is lowered", () => {
    const state: Admission.State = { active: new Set(["a"]), queue: ["b", "c"] }
    expect(feed(queueing({ concurrency: 3 }), [{ _tag: "LimitsChanged" }], state).log).toEqual(["Start b", "Start c"])
    const busy: Admission.State = { active: new Set(["a", "b"]), queue: ["c"] }
    const lowered = feed(queueing({ concurrency: 1 }), [{ _tag: "LimitsChanged" }, ended("a")], busy)
    expect([lowered.log, lowered.active, lowered.queue]).toEqual([[], ["b"], ["c"]])
  })

  it("drops the oldest when the queue is made smaller, and none when overflow becomes drop", () => {
    const state: Admission.State = { active: new Set(["a"]), queue: ["b", "c"] }
    expect(feed(queueing({ maxQueue: 1 }), [{ _tag: "LimitsChanged" }], state).log).toEqual(["Drop b"])
    expect(feed(dropping(), [{ _tag: "LimitsChanged" }, ended("a")], state).log).toEqual(["Start b"])
  })

  it("resumes all recovered ones even beyond the cap, and starts queued ones only below it", () => {
    const recovered: Admission.Input = { _tag: "Recovered", started: ["a", "b"], queued: ["c", "d"] }
    expect(feed(queueing(), [recovered, ended("a"), ended("b")]).log).toEqual(["Resume a", "Resume b", "Start c"])
    expect(feed(queueing({ concurrency: 3 }), [recovered]).log).toEqual(["Resume a", "Resume b", "Start c"])
  })

  it("holds starts during a drain without turning away whom a free slot would have taken", () => {
    const held = feed(dropping({ concurrency: 2, hold: "drain" }), ["a", "b", "c"].map(trigger))
    expect(held.log).toEqual(["Enqueue a", "Enqueue b", "Reject c"])
    expect(feed(dropping({ concurrency: 2 }), [{ _tag: "LimitsChanged" }], held.state).log).toEqual([
      "Start a",
      "Start b"
    ])
  })

  it("starts nothing while given up: queues where there is a queue, rejects where there is none", () => {
    expect(feed(queueing({ hold: "given-up" }), [trigger("a")]).log).toEqual(["Enqueue a"])
    expect(Admission.decide(Admission.empty, trigger("a"), dropping({ hold: "given-up" })).actions).toEqual([
      { _tag: "Reject", id: "a", why: "given-up" }
    ])
  })

  it("withdraws all and stops all when the workflow is removed", () => {
    const { log, queue } = feed(queueing(), [trigger("a"), trigger("b"), { _tag: "Removed" }])
    expect([log, queue]).toEqual([["Start a", "Enqueue b", "Withdraw b", "Stop a"], []])
  })

  it("loses, doubles and strands nobody, keeps the cap and the order, for any sequence", () => {
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.record({ kind: fc.constant("trigger" as const) }) },
      { weight: 4, arbitrary: fc.record({ kind: fc.constant("end" as const), nth: fc.nat(9) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("kill" as const), nth: fc.nat(30) }) },
      {
        weight: 1,
        arbitrary: fc.record({
          kind: fc.constant("limits" as const),
          limits: fc.record({
            concurrency: fc.integer({ min: 1, max: 4 }),
            overflow: fc.constantFrom("drop" as const, "queue" as const),
            maxQueue: fc.nat(4),
            hold: fc.constantFrom<Admission.Hold>("none", "none", "drain", "given-up")
          })
        })
      }
    )
    const recovered = fc.record({ started: fc.nat(4), queued: fc.nat(6) })
    fc.assert(
      fc.property(recovered, fc.array(step, { maxLength: 60 }), (left, steps) => {
        let limits = queueing({ concurrency: 2 })
        let count = 0
        const fresh = () => `t${String(count++).padStart(3, "0")}`
        const gone = new Set<string>()
        const startedInOrder: Array<string> = []
        let state: Admission.State = Admission.empty

        const apply = (input: Admission.Input) => {
          const before = state.active.size
          const decision = Admission.decide(state, input, limits)
          let active = input._tag === "Ended" && state.active.has(input.id) ? before - 1 : before
          for (const action of decision.actions) {
            switch (action._tag) {
              case "Start":
                expect(active).toBeLessThan(limits.concurrency)
                expect(limits.hold).toBe("none")
                startedInOrder.push(action.id)
                active += 1
                break
              case "Resume":
                active += 1
                break
              case "Reject":
              case "Drop":
              case "Withdraw":
                expect(gone.has(action.id)).toBe(false)
                gone.add(action.id)
                break
              case "Enqueue":
              case "Stop":
                break
            }
          }
          if (input._tag === "Ended" && state.active.has(input.id)) gone.add(input.id)
          state = decision.state
          expect(state.active.size).toBe(active)
          // Each thread is in exactly one place.
          const everywhere = [...state.active, ...state.queue, ...gone]
          expect([...everywhere].sort()).toEqual(
            Array.from({ length: count }, (_, i) => `t${String(i).padStart(3, "0")}`)
          )
          // Nobody waits while a slot is free.
          if (limits.hold === "none" && state.queue.length > 0) {
            expect(state.active.size).toBeGreaterThanOrEqual(limits.concurrency)
          }
          if (limits.hold === "none" && limits.overflow === "queue") {
            expect(state.queue.length).toBeLessThanOrEqual(limits.maxQueue)
          }
        }

        const started = Array.from({ length: left.started }, fresh)
        const queued = Array.from({ length: left.queued }, fresh)
        apply({ _tag: "Recovered", started, queued })
        for (const step of steps) {
          switch (step.kind) {
            case "trigger":
              apply(trigger(fresh()))
              break
            case "end": {
              const id = [...state.active][step.nth % Math.max(1, state.active.size)]
              if (id !== undefined) apply(ended(id))
              break
            }
            case "kill":
              if (step.nth < count) apply(killed(`t${String(step.nth).padStart(3, "0")}`))
              break
            case "limits":
              limits = step.limits
              apply({ _tag: "LimitsChanged" })
              break
          }
        }
        // Ids grow with the order of arrival, so starts in order are starts sorted.
        expect(startedInOrder).toEqual([...startedInOrder].sort())
        // And in the end everybody gets through.
        limits = { ...limits, hold: "none" }
        apply({ _tag: "LimitsChanged" })
        while (state.active.size > 0) apply(ended([...state.active][0] ?? ""))
        expect(state.queue).toEqual([])
        expect(gone.size).toBe(count)
      }),
      { numRuns: 500 }
    )
  })
})
