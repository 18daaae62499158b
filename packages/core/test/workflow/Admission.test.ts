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
  return { state, log, active: [...state.active], queue: state.queue.map(({ id }) => id), parked: [...state.parked] }
}

/** Letters arrive in the order of the alphabet. */
const orderOf = (id: string): number => id.charCodeAt(0)

const trigger = (id: string, priority = 0): Admission.Input => ({
  _tag: "Triggered",
  id,
  priority,
  order: orderOf(id)
})
const returned = (id: string, order: number, priority = 0): Admission.Input => ({
  _tag: "Returned",
  id,
  priority,
  returning: true,
  order
})
const ended = (id: string): Admission.Input => ({ _tag: "Ended", id })
const killed = (id: string): Admission.Input => ({ _tag: "Killed", id })
const parked = (id: string): Admission.Input => ({ _tag: "Parked", id })

const waiting = (id: string, over: Partial<Admission.Rank> = {}): Admission.Waiting => ({
  id,
  priority: 0,
  returning: false,
  order: orderOf(id),
  ...over
})

const stateOf = (active: ReadonlyArray<string>, queue: ReadonlyArray<string>): Admission.State => ({
  active: new Set(active),
  queue: queue.map((id) => waiting(id)),
  parked: new Set()
})

describe("Admission", () => {
  it("starts up to the concurrency and drops the rest when overflow is drop", () => {
    expect(
      feed(
        dropping({ concurrency: 2 }),
        ["a", "b", "c"].map((id) => trigger(id))
      ).log
    ).toEqual(["Start a", "Start b", "Reject c"])
  })

  it("queues when overflow is queue, and drops the oldest queued one when full", () => {
    const { log, queue } = feed(
      queueing(),
      ["a", "b", "c", "d"].map((id) => trigger(id))
    )
    expect(log).toEqual(["Start a", "Enqueue b", "Enqueue c", "Drop b", "Enqueue d"])
    expect(queue).toEqual(["c", "d"])
  })

  it("turns the newcomer away when the queue has no places at all", () => {
    const decision = Admission.decide(stateOf(["a"], []), trigger("b"), queueing({ maxQueue: 0 }))
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
    const { log } = feed(queueing({ concurrency: 2 }), [trigger("c")], stateOf(["a"], ["b"]))
    expect(log).toEqual(["Enqueue c"])
  })

  it("lets a higher priority go first, and equal ones in the order of arrival", () => {
    const limits = queueing({ maxQueue: 10 })
    const inputs = [trigger("a"), trigger("b"), trigger("c", 5), trigger("d", 5), trigger("e", -1)]
    expect(feed(limits, inputs).queue).toEqual(["c", "d", "b", "e"])
  })

  it("drops the oldest of the lowest priority, which may be the newcomer itself", () => {
    const full = [trigger("a"), trigger("b", 1), trigger("c")]
    expect(feed(queueing(), [...full, trigger("d", 1)]).log.slice(3)).toEqual(["Drop c", "Enqueue d"])
    expect(feed(queueing(), [...full, trigger("d", -1)]).log.slice(3)).toEqual(["Reject d"])
  })

  it("gives the slot of one that parks to the next, and lets it return before those that never had one", () => {
    const { log, parked: still } = feed(queueing(), [trigger("a"), trigger("b"), trigger("c"), parked("a")])
    expect([log, still]).toEqual([["Start a", "Enqueue b", "Enqueue c", "Start b"], ["a"]])
    const back = feed(queueing(), [trigger("a"), trigger("b"), trigger("c"), parked("a"), returned("a", 999)])
    expect([back.queue, back.parked]).toEqual([["a", "c"], []])
  })

  it("never turns away one that returns, and never drops it to make room", () => {
    const limits = dropping()
    expect(feed(limits, [trigger("a"), parked("a"), trigger("b"), returned("a", 999)]).log).toEqual([
      "Start a",
      "Start b",
      "Enqueue a"
    ])
    const full = [trigger("a"), parked("a"), trigger("b"), returned("a", 999), trigger("c"), trigger("d"), trigger("e")]
    expect(feed(queueing(), full).queue).toEqual(["a", "d", "e"])
  })

  it("takes a queued one out of the queue when it is paused, and gives it its place again", () => {
    const out = feed(queueing(), [trigger("a"), trigger("b"), trigger("c"), parked("b")])
    expect([out.queue, out.parked]).toEqual([["c"], ["b"]])
    const back: Admission.Input = { _tag: "Returned", ...waiting("b") }
    expect(feed(queueing(), [back], out.state).queue).toEqual(["b", "c"])
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

  it("withdraws a killed one that is parked", () => {
    const { log, parked: still } = feed(queueing(), [trigger("a"), parked("a"), killed("a"), returned("x", 1)])
    expect([log, still]).toEqual([["Start a", "Withdraw a", "Start x"], []])
  })

  it("ignores ends, kills and parking of whom it does not know", () => {
    const inputs = [ended("x"), killed("x"), parked("x"), trigger("a"), ended("a"), ended("a"), parked("a")]
    expect(feed(queueing(), inputs).log).toEqual(["Start a"])
  })

  it("starts queued ones when the concurrency is raised, and stops nobody when it is lowered", () => {
    const state = stateOf(["a"], ["b", "c"])
    expect(feed(queueing({ concurrency: 3 }), [{ _tag: "LimitsChanged" }], state).log).toEqual(["Start b", "Start c"])
    const busy = stateOf(["a", "b"], ["c"])
    const lowered = feed(queueing({ concurrency: 1 }), [{ _tag: "LimitsChanged" }, ended("a")], busy)
    expect([lowered.log, lowered.active, lowered.queue]).toEqual([[], ["b"], ["c"]])
  })

  it("drops the oldest when the queue is made smaller, and none when overflow becomes drop", () => {
    const state = stateOf(["a"], ["b", "c"])
    expect(feed(queueing({ maxQueue: 1 }), [{ _tag: "LimitsChanged" }], state).log).toEqual(["Drop b"])
    expect(feed(dropping(), [{ _tag: "LimitsChanged" }, ended("a")], state).log).toEqual(["Start b"])
  })

  it("resumes all recovered ones even beyond the cap, and starts queued ones only below it, in their order", () => {
    const recovered: Admission.Input = {
      _tag: "Recovered",
      started: ["a", "b"],
      queued: [waiting("d"), waiting("c"), waiting("e", { priority: 1 }), waiting("f", { returning: true })],
      parked: ["g"]
    }
    const limits = queueing({ maxQueue: 5 })
    const one = feed(limits, [recovered, ended("a"), ended("b")])
    expect([one.log, one.queue, one.parked]).toEqual([["Resume a", "Resume b", "Start e"], ["f", "c", "d"], ["g"]])
    expect(feed({ ...limits, concurrency: 3 }, [recovered]).log).toEqual(["Resume a", "Resume b", "Start e"])
  })

  it("holds starts during a drain without turning away whom a free slot would have taken", () => {
    const held = feed(
      dropping({ concurrency: 2, hold: "drain" }),
      ["a", "b", "c"].map((id) => trigger(id))
    )
    expect(held.log).toEqual(["Enqueue a", "Enqueue b", "Reject c"])
    expect(feed(dropping({ concurrency: 2 }), [{ _tag: "LimitsChanged" }], held.state).log).toEqual([
      "Start a",
      "Start b"
    ])
  })

  it("starts nothing while given up or paused: queues where there is a queue, rejects where there is none", () => {
    for (const hold of ["given-up", "paused"] as const) {
      expect(feed(queueing({ hold }), [trigger("a")]).log).toEqual(["Enqueue a"])
      expect(Admission.decide(Admission.empty, trigger("a"), dropping({ hold })).actions).toEqual([
        { _tag: "Reject", id: "a", why: hold }
      ])
    }
  })

  it("withdraws all and stops all when the workflow is removed", () => {
    const inputs = [trigger("p"), parked("p"), trigger("a"), trigger("b"), { _tag: "Removed" } as const]
    const { log, parked: still, queue } = feed(queueing(), inputs)
    expect([log, queue, still]).toEqual([
      ["Start p", "Start a", "Enqueue b", "Withdraw b", "Withdraw p", "Stop a"],
      [],
      []
    ])
  })

  it("loses, doubles and strands nobody, keeps the cap and the order, for any sequence", () => {
    const nth = fc.nat(30)
    const step = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({ kind: fc.constant("trigger" as const), priority: fc.integer({ min: -1, max: 1 }) })
      },
      { weight: 4, arbitrary: fc.record({ kind: fc.constant("end" as const), nth }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("park" as const), nth }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("return" as const), nth }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("kill" as const), nth }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart" as const) }) },
      {
        weight: 1,
        arbitrary: fc.record({
          kind: fc.constant("limits" as const),
          limits: fc.record({
            concurrency: fc.integer({ min: 1, max: 4 }),
            overflow: fc.constantFrom("drop" as const, "queue" as const),
            maxQueue: fc.nat(4),
            hold: fc.constantFrom<Admission.Hold>("none", "none", "none", "drain", "given-up", "paused")
          })
        })
      }
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        let limits = queueing({ concurrency: 2 })
        const all: Array<string> = []
        const ranks = new Map<string, Admission.Rank>()
        const gone = new Set<string>()
        let state: Admission.State = Admission.empty
        let order = 0

        const apply = (input: Admission.Input) => {
          const before = state
          const decision = Admission.decide(state, input, limits)
          const starting: Array<string> = []
          let active = before.active.size
          if ((input._tag === "Ended" || input._tag === "Parked") && before.active.has(input.id)) active--
          for (const action of decision.actions) {
            switch (action._tag) {
              case "Start":
                expect(active).toBeLessThan(limits.concurrency)
                expect(limits.hold).toBe("none")
                starting.push(action.id)
                active++
                break
              case "Resume":
                active++
                break
              case "Reject":
              case "Drop":
              case "Withdraw":
                expect(gone.has(action.id)).toBe(false)
                // Who returns is never turned away.
                if (action._tag !== "Withdraw") expect(ranks.get(action.id)?.returning).toBe(false)
                gone.add(action.id)
                break
              case "Enqueue":
              case "Stop":
                break
            }
          }
          if (input._tag === "Ended" && before.active.has(input.id)) gone.add(input.id)
          state = decision.state
          expect(state.active.size).toBe(active)
          // Each thread is in exactly one place.
          const everywhere = [...state.active, ...state.queue.map(({ id }) => id), ...state.parked, ...gone]
          expect([...everywhere].sort()).toEqual([...all].sort())
          // Nobody waits while a slot is free.
          if (limits.hold === "none" && state.queue.length > 0) {
            expect(state.active.size).toBeGreaterThanOrEqual(limits.concurrency)
          }
          if (limits.hold === "none" && limits.overflow === "queue") {
            expect(state.queue.filter(({ returning }) => !returning).length).toBeLessThanOrEqual(limits.maxQueue)
          }
          // Whoever is started goes before all who still wait.
          const goesBefore = (a: Admission.Rank, b: Admission.Rank) =>
            a.priority !== b.priority
              ? a.priority > b.priority
              : a.returning !== b.returning
                ? a.returning
                : a.order < b.order
          for (const id of starting) {
            const rank = ranks.get(id)
            for (const one of state.queue) if (rank !== undefined) expect(goesBefore(rank, one)).toBe(true)
          }
          for (const [index, one] of state.queue.entries()) {
            const next = state.queue[index + 1]
            if (next !== undefined) expect(goesBefore(one, next)).toBe(true)
          }
        }

        const pick = (from: Iterable<string>, nth: number): string | undefined => {
          const list = [...from]
          return list[nth % Math.max(1, list.length)]
        }
        for (const step of steps) {
          switch (step.kind) {
            case "trigger": {
              const id = `t${String(all.length).padStart(3, "0")}`
              const rank = { priority: step.priority, returning: false, order: ++order }
              all.push(id)
              ranks.set(id, rank)
              apply({ _tag: "Triggered", id, ...rank })
              break
            }
            case "end": {
              const id = pick(state.active, step.nth)
              if (id !== undefined) apply(ended(id))
              break
            }
            case "park": {
              const id = pick([...state.active, ...state.queue.map(({ id }) => id)], step.nth)
              if (id !== undefined) apply(parked(id))
              break
            }
            case "return": {
              // Of whoever is parked, or has ended and is taken up again.
              const id = pick([...state.parked, ...gone], step.nth)
              if (id === undefined) break
              const rank = { priority: ranks.get(id)?.priority ?? 0, returning: true, order: ++order }
              gone.delete(id)
              ranks.set(id, rank)
              apply({ _tag: "Returned", id, ...rank })
              break
            }
            case "kill": {
              const id = pick(all, step.nth)
              if (id !== undefined) apply(killed(id))
              break
            }
            case "restart": {
              // The next daemon has nothing but what is in the log, in whatever order.
              const { active, parked, queue } = state
              state = Admission.empty
              const left = { started: [...active], queued: [...queue].reverse(), parked: [...parked] }
              const busy = left.started.length
              apply({ _tag: "Recovered", ...left })
              expect(state.active.size).toBeGreaterThanOrEqual(busy)
              break
            }
            case "limits":
              limits = step.limits
              apply({ _tag: "LimitsChanged" })
              break
          }
        }
        // And in the end everybody gets through.
        limits = { ...limits, hold: "none" }
        apply({ _tag: "LimitsChanged" })
        for (const id of [...state.parked]) {
          const rank = { priority: ranks.get(id)?.priority ?? 0, returning: true, order: ++order }
          ranks.set(id, rank)
          apply({ _tag: "Returned", id, ...rank })
        }
        while (state.active.size > 0) apply(ended([...state.active][0] ?? ""))
        expect(state.queue).toEqual([])
        expect(gone.size).toBe(all.length)
      }),
      { numRuns: 500 }
    )
  })
})
