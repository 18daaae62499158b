/** Laws of the machine, tried on any sequence of inputs, sensible or not. */
import * as WorkerMachine from "@nerve/core/supervision/WorkerMachine"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

type Input = WorkerMachine.Input
type Action = WorkerMachine.Action

/** An input as drawn: which incarnation it names is relative to the present one, most often that one. */
const drawn: fc.Arbitrary<(machine: WorkerMachine.Machine) => Input> = fc
  .tuple(
    fc.constantFrom<Input["_tag"]>(
      "Demand",
      "Ready",
      "ReadyTimedOut",
      "KillAsked",
      "LadderBegun",
      "Exited",
      "RespawnDecided",
      "GiveUpDecided",
      "Vetoed",
      "DelayOver",
      "DrainAsked",
      "StopAsked",
      "ResetAsked"
    ),
    fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: -2, max: 2 }) }),
    fc.boolean(),
    fc.nat(1000)
  )
  .map(([tag, shift, failed, now]) => (machine: WorkerMachine.Machine): Input => {
    const incarnation = machine.incarnation + shift
    switch (tag) {
      case "Demand":
      case "DrainAsked":
      case "StopAsked":
      case "ResetAsked":
        return { _tag: tag }
      case "Ready":
        return { _tag: tag, incarnation, now }
      case "ReadyTimedOut":
        return { _tag: tag, incarnation, afterMs: 10 }
      case "KillAsked":
        return { _tag: tag, incarnation, doom: { cause: "killed", reason: "told to" } }
      case "Exited":
        return failed
          ? { _tag: tag, incarnation, now, exit: null, failure: "no such program" }
          : { _tag: tag, incarnation, now, exit: { code: 1, signal: null }, failure: null }
      case "RespawnDecided":
        return { _tag: tag, incarnation, delayMs: now }
      case "GiveUpDecided":
        return { _tag: tag, incarnation, reason: "enough" }
      default:
        return { _tag: tag, incarnation }
    }
  })

interface Step {
  readonly before: WorkerMachine.Machine
  readonly input: Input
  readonly after: WorkerMachine.Machine
  readonly actions: ReadonlyArray<Action>
}

const run = (inputs: ReadonlyArray<(machine: WorkerMachine.Machine) => Input>): ReadonlyArray<Step> => {
  const steps: Array<Step> = []
  let machine = WorkerMachine.initial
  for (const draw of inputs) {
    const input = draw(machine)
    const decision = WorkerMachine.decide(machine, input)
    steps.push({ before: machine, input, after: decision.machine, actions: decision.actions })
    machine = decision.machine
  }
  return steps
}

const sequences = fc.array(drawn, { maxLength: 60 })

const law = (name: string, holds: (steps: ReadonlyArray<Step>) => void) =>
  it(name, () => {
    fc.assert(
      fc.property(sequences, (inputs) => holds(run(inputs))),
      { numRuns: 1000 }
    )
  })

const has = (actions: ReadonlyArray<Action>, tag: Action["_tag"]) => actions.some((action) => action._tag === tag)

/** States in which a process may live. */
const alive = (machine: WorkerMachine.Machine) => ["Starting", "Ready", "Draining"].includes(machine.state._tag)

describe("WorkerMachine, any sequence of inputs", () => {
  law("starts no process while one may live, and numbers each start by one more than the last", (steps) => {
    let living: number | undefined
    for (const { actions, before, input } of steps) {
      if (input._tag === "Exited" && input.incarnation === living) living = undefined
      for (const action of actions) {
        if (action._tag !== "Spawn") continue
        expect(living).toBeUndefined()
        expect(action.incarnation).toBe(before.incarnation + 1)
        living = action.incarnation
      }
    }
  })

  law("an input of another incarnation changes nothing (R12)", (steps) => {
    for (const { actions, after, before, input } of steps) {
      if (!("incarnation" in input) || input.incarnation === before.incarnation) continue
      expect(after).toBe(before)
      expect(actions).toEqual([])
    }
  })

  law("tells of each exit once, with its number, and of nothing else as an exit (R11)", (steps) => {
    for (const { actions, before, input } of steps) {
      const reports = actions.filter((action) => action._tag === "ReportExit")
      const counts = input._tag === "Exited" && input.incarnation === before.incarnation && alive(before)
      expect(reports.map((report) => report.incarnation)).toEqual(counts ? [before.incarnation] : [])
    }
  })

  law("an exit that nobody asked for asks the policy, one that was asked for never does (R5)", (steps) => {
    for (const { actions, after, before } of steps) {
      const report = actions.find((action) => action._tag === "ReportExit")
      if (report === undefined) continue
      expect(has(actions, "AskPolicy")).toBe(!report.expected)
      expect(after.crashes).toBe(before.crashes + (report.expected ? 0 : 1))
      if (report.expected) expect(before.state).toMatchObject({ _tag: "Draining", asked: true })
    }
  })

  law("a stop is done at once, or when the process is gone and not before, and restarts nothing", (steps) => {
    let stopping = false
    for (const { actions, after, before, input } of steps) {
      if (input._tag === "StopAsked") {
        expect(has(actions, "StopDone")).toBe(!alive(before))
        expect(has(actions, "FailWaiting")).toBe(true)
        stopping = alive(before)
        continue
      }
      if (!stopping) continue
      expect(has(actions, "Spawn")).toBe(false)
      expect(has(actions, "StopDone")).toBe(!alive(after))
      stopping = alive(after)
    }
  })

  law("a drain is done at once, or with the exit of what was drained", (steps) => {
    let draining = false
    for (const { actions, before, input } of steps) {
      const ends = input._tag === "Exited" && input.incarnation === before.incarnation
      if (draining) expect(has(actions, "DrainDone")).toBe(ends || (input._tag === "DrainAsked" && !alive(before)))
      if (draining && ends) draining = false
      if (input._tag === "DrainAsked") draining = alive(before) && !has(actions, "DrainDone")
    }
  })

  law("calls go to a worker only from its ready to the first sign of its end", (steps) => {
    let attached = false
    for (const { actions, after, input } of steps) {
      for (const action of actions) {
        if (action._tag === "Attach") {
          expect(input._tag).toBe("Ready")
          attached = true
        }
        if (action._tag === "Detach" || action._tag === "ReportExit") attached = false
      }
      expect(attached).toBe(after.state._tag === "Ready" && after.state.doomed === null)
    }
  })

  law("a delay runs only in backoff, and is cancelled when it must not end in a start", (steps) => {
    for (const { actions, before, input } of steps) {
      if (has(actions, "StartDelay")) expect(before.state._tag).toBe("Backoff")
      if (input._tag === "StopAsked" && before.state._tag === "Backoff") expect(has(actions, "CancelDelay")).toBe(true)
    }
  })

  law("what was given up takes calls again only by a reset, and forgets its crashes (R6)", (steps) => {
    for (const { actions, after, before, input } of steps) {
      if (before.state._tag !== "GivenUp") continue
      if (input._tag === "ResetAsked") expect([after.crashes, actions]).toEqual([0, [{ _tag: "Revive" }]])
      else if (input._tag === "StopAsked") expect(after.state._tag).toBe("Stopped")
      else if (input._tag !== "DrainAsked") expect(after).toBe(before)
    }
  })

  it("reaches every state", () => {
    const seen = new Set<string>()
    fc.assert(
      fc.property(sequences, (inputs) => {
        for (const { after } of run(inputs)) seen.add(after.state._tag)
      }),
      // With 500, two runs in five saw nobody given up.
      { numRuns: 8000 }
    )
    expect([...seen].sort()).toEqual(["Backoff", "Draining", "GivenUp", "Ready", "Starting", "Stopped"])
  })
})

describe("WorkerMachine", () => {
  const after = (...inputs: ReadonlyArray<Input>) => run(inputs.map((input) => () => input))
  const demand: Input = { _tag: "Demand" }
  const ready: Input = { _tag: "Ready", incarnation: 1, now: 100 }
  const exited: Input = { _tag: "Exited", incarnation: 1, now: 350, exit: { code: 3, signal: null }, failure: null }
  const reportOf = (steps: ReadonlyArray<Step>) => steps.at(-1)?.actions.find((action) => action._tag === "ReportExit")

  it("measures the uptime from ready", () => {
    expect(reportOf(after(demand, ready, exited))).toMatchObject({ uptimeMs: 250, reason: "exit code 3" })
    expect(reportOf(after(demand, exited))).toMatchObject({ uptimeMs: 0 })
  })

  it("names why a worker had to die, also while it drains", () => {
    const kill: Input = { _tag: "KillAsked", incarnation: 1, doom: { cause: "hung", reason: "it hangs" } }
    expect(reportOf(after(demand, ready, kill, exited))).toMatchObject({ reason: "it hangs", expected: false })
    expect(reportOf(after(demand, ready, { _tag: "DrainAsked" }, kill, exited))).toMatchObject({
      reason: "it hangs",
      expected: false
    })
    expect(reportOf(after(demand, { _tag: "ReadyTimedOut", incarnation: 1, afterMs: 10 }, exited))).toMatchObject({
      reason: "not ready within 10 ms"
    })
  })

  it("starts a drained worker again without asking the policy", () => {
    const last = after(demand, ready, { _tag: "DrainAsked" }, { _tag: "LadderBegun", incarnation: 1 }, exited).at(-1)
    expect(last?.after).toMatchObject({ incarnation: 2, crashes: 0, state: { _tag: "Starting" } })
    expect(last?.actions.map((action) => action._tag)).toEqual(["ReportExit", "DrainDone", "Spawn"])
  })
})
