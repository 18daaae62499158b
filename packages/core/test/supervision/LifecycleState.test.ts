/**
 * The life of one incarnation: the rule of its end, and what holds for any sequence of inputs.
 */
import { describe, expect, it } from "@effect/vitest"
import * as LifecycleState from "@nerve/core/supervision/LifecycleState"
import * as Mermaid from "@nerve/core/supervision/Mermaid"
import * as fc from "fast-check"

const ending = fc.record({
  code: fc.option(fc.integer({ min: 0, max: 255 }), { nil: null }),
  signal: fc.constantFrom(null, "SIGTERM", "SIGSEGV", "SIGKILL"),
  error: fc.constantFrom(null, "it broke")
})

const input: fc.Arbitrary<LifecycleState.Input> = fc.oneof(
  fc.constantFrom<LifecycleState.Input>(
    { _tag: "StartAsked" },
    { _tag: "Started" },
    { _tag: "Suspended" },
    { _tag: "Resumed" },
    { _tag: "StopAsked" },
    { _tag: "KillTaken" }
  ),
  ending.map((ending): LifecycleState.Input => ({ _tag: "Ended", ending }))
)

const feed = (inputs: ReadonlyArray<LifecycleState.Input>) =>
  inputs.reduce((machine, one) => LifecycleState.decide(machine, one).machine, LifecycleState.initial)

const exit = (code: number | null, signal: string | null = null, error: string | null = null) => ({
  code,
  signal,
  error
})

const start: ReadonlyArray<LifecycleState.Input> = [{ _tag: "StartAsked" }, { _tag: "Started" }]

const outcome = (before: ReadonlyArray<LifecycleState.Input>, ended: LifecycleState.Ending) =>
  feed([...start, ...before, { _tag: "Ended", ending: ended }]).state

describe("LifecycleState", () => {
  it("killed is Killed, else requested is Stopped, else an error is Failed, else Finished (L2)", () => {
    expect(outcome([{ _tag: "StopAsked" }, { _tag: "KillTaken" }], exit(0))).toBe("Killed")
    expect(outcome([], exit(null, "SIGKILL"))).toBe("Killed")
    expect(outcome([{ _tag: "StopAsked" }], exit(null, "SIGTERM"))).toBe("Stopped")
    expect(outcome([{ _tag: "StopAsked" }], exit(3, null, "it broke on the way"))).toBe("Stopped")
    expect(outcome([], exit(null, "SIGTERM"))).toBe("Failed")
    expect(outcome([], exit(1))).toBe("Failed")
    expect(outcome([], exit(0, null, "it broke"))).toBe("Failed")
    expect(outcome([], exit(0))).toBe("Finished")
  })

  it("one that was never started is Stopped by a stop", () => {
    expect(feed([{ _tag: "StopAsked" }])).toMatchObject({ state: "Stopped", exit: { outcome: "Stopped", code: null } })
  })

  it("is suspended only while it runs, and stopped also while it is suspended", () => {
    expect(feed([{ _tag: "StartAsked" }, { _tag: "Suspended" }]).state).toBe("Starting")
    expect(feed([...start, { _tag: "Suspended" }]).state).toBe("Suspended")
    expect(feed([...start, { _tag: "Suspended" }, { _tag: "Resumed" }]).state).toBe("Running")
    expect(feed([...start, { _tag: "Suspended" }, { _tag: "StopAsked" }]).state).toBe("Stopping")
  })

  it("asks for the ladder again when it is asked to stop again, for other bounds", () => {
    const stopping = feed([...start, { _tag: "StopAsked" }])
    expect(LifecycleState.decide(stopping, { _tag: "StopAsked" }).actions).toEqual(["RunLadder"])
  })

  it("whatever happens: launched at most once, settled at most once, an end is final, an exit is there exactly at the end", () => {
    fc.assert(
      fc.property(fc.array(input, { maxLength: 30 }), (inputs) => {
        let machine = LifecycleState.initial
        const actions: Array<LifecycleState.Action> = []
        for (const one of inputs) {
          const next = LifecycleState.decide(machine, one)
          if (LifecycleState.isOver(machine.state)) expect(next.machine).toEqual(machine)
          actions.push(...next.actions)
          machine = next.machine
          expect(machine.exit !== null).toBe(LifecycleState.isOver(machine.state))
          if (machine.exit !== null) expect(machine.exit.outcome).toBe(machine.state)
        }
        expect(actions.filter((action) => action === "Launch").length).toBeLessThanOrEqual(1)
        expect(actions.filter((action) => action === "Settle").length).toBe(
          LifecycleState.isOver(machine.state) ? 1 : 0
        )
      }),
      { numRuns: 2000 }
    )
  })

  it("whatever happens, the diagram of the states has every transition that is taken", () => {
    const drawn = new Set(Mermaid.transitions.map(([from, to]) => `${from} ${to}`))
    fc.assert(
      fc.property(fc.array(input, { maxLength: 30 }), (inputs) => {
        let machine = LifecycleState.initial
        for (const one of inputs) {
          const next = LifecycleState.decide(machine, one).machine
          if (next.state !== machine.state) expect(drawn).toContain(`${machine.state} ${next.state}`)
          machine = next
        }
      }),
      { numRuns: 2000 }
    )
  })

  it("tells the next incarnation the true exit code or signal", () => {
    expect(LifecycleState.handoverText(exit(0))).toBe("0")
    expect(LifecycleState.handoverText(exit(137))).toBe("137")
    expect(LifecycleState.handoverText(exit(null, "SIGSEGV"))).toBe("SIGSEGV")
    expect(LifecycleState.handoverText(exit(null, null, "could not be started"))).toBe("unknown")
  })
})
