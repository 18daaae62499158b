import { assert, describe, it } from "@effect/vitest"
import type { Schema } from "effect"
import * as fc from "fast-check"
import * as ConfigDiff from "../../src/config/ConfigDiff.ts"
import { type CatchUp, empty, type NerveConfig, type SenseConfig } from "../../src/config/NerveConfig.ts"
import { GroupName, SenseName, WorkflowName } from "../../src/domain/Ids.ts"
import * as samples from "./samples.ts"

// Few names and few values, so that two configurations have much in common.
const names = ["a", "b", "c", "d"]
const name = fc.constantFrom(...names)
const ms = fc.constantFrom(null, 1_000, 2_000)

const sense: fc.Arbitrary<SenseConfig> = fc
  .record(
    {
      name: name.map((text) => SenseName.make(text)),
      group: name.map((text) => GroupName.make(text)),
      intervalMs: ms,
      cron: fc.constantFrom(
        null,
        { expression: "* * * * *", timeZone: null },
        { expression: "0 3 * * *", timeZone: "UTC" }
      ),
      catchUp: fc.constantFrom<CatchUp>("once", "skip", "all"),
      throttleMs: ms,
      timeoutMs: fc.constantFrom(10, 20),
      gracePeriodMs: fc.constantFrom(10, 20),
      on: fc.uniqueArray(
        name.map((text) => SenseName.make(text)),
        { maxLength: 2 }
      ),
      /** A key that may be absent, whatever it is called. */
      params: fc.constantFrom<Schema.Json>(null, { path: "/" }, { path: "/", deep: [1, { x: 2 }] }, [])
    },
    {
      requiredKeys: ["name", "group", "intervalMs", "cron", "catchUp", "throttleMs", "timeoutMs", "gracePeriodMs", "on"]
    }
  )
  .map((value): SenseConfig => value)

const workflow: fc.Arbitrary<NerveConfig["workflows"][number]> = fc.record({
  name: name.map((text) => WorkflowName.make(text)),
  concurrency: fc.constantFrom(1, 2),
  overflow: fc.constantFrom("drop", "queue"),
  maxQueue: fc.constantFrom(100, 200),
  onChange: fc.constantFrom("finish-on-old", "interrupt"),
  budget: fc.constantFrom(null, { tokens: 10, costUsd: null })
})

const config: fc.Arbitrary<NerveConfig> = fc
  .record({
    senses: fc.uniqueArray(sense, { selector: (one) => one.name, maxLength: 4 }),
    workflows: fc.uniqueArray(workflow, { selector: (one) => one.name, maxLength: 3 }),
    maxRounds: fc.constantFrom(10, 20),
    api: fc.constantFrom(
      null,
      { host: "127.0.0.1", port: 4000, token: null },
      { host: "127.0.0.1", port: 4000, token: "hush-hush" }
    ),
    extract: fc.constantFrom(null, { provider: "x", model: "y" }, { provider: "x", model: "z" }),
    agents: fc.uniqueArray(
      fc.record({
        name,
        type: fc.constantFrom("command", "scripted"),
        model: fc.constantFrom(null, "m"),
        timeoutMs: ms
      }),
      { selector: (one) => one.name, maxLength: 2 }
    ),
    env: fc.constantFrom([], ["A"], ["A", "B"])
  })
  .map((some): NerveConfig => ({ ...empty, ...some }))

const sorted = ({ agents, senses, workflows, ...rest }: NerveConfig) => ({
  ...rest,
  agents: agents.toSorted((a, b) => a.name.localeCompare(b.name)),
  senses: senses.toSorted((a, b) => a.name.localeCompare(b.name)),
  workflows: workflows.toSorted((a, b) => a.name.localeCompare(b.name))
})

const cpu = samples.sense("cpu", { group: "system", intervalMs: 5_000 })

const words = (from: NerveConfig, to: NerveConfig) => ConfigDiff.diff(from, to).map(ConfigDiff.describe)

describe("the difference of two configurations", () => {
  it("applied to the old one gives the new one", () => {
    fc.assert(
      fc.property(config, config, (from, to) => {
        assert.deepStrictEqual(sorted(ConfigDiff.apply(from, ConfigDiff.diff(from, to))), sorted(to))
      }),
      { numRuns: 500 }
    )
  })

  it("is empty exactly when they mean the same, whatever the order", () => {
    fc.assert(
      fc.property(config, config, (from, to) => {
        const reordered = { ...from, senses: from.senses.toReversed(), workflows: from.workflows.toReversed() }
        assert.deepStrictEqual(ConfigDiff.diff(from, reordered), [])
        const isSame = JSON.stringify(canonical(sorted(from))) === JSON.stringify(canonical(sorted(to)))
        assert.strictEqual(ConfigDiff.diff(from, to).length === 0, isSame)
      }),
      { numRuns: 500 }
    )
  })

  it("says nothing of what both have alike: no change is its own reverse", () => {
    fc.assert(
      fc.property(config, config, (from, to) => {
        for (const change of ConfigDiff.diff(from, to)) {
          if (change._tag === "Changed" || change._tag === "Set") assert.notDeepEqual(change.from, change.to)
        }
        assert.strictEqual(ConfigDiff.diff(from, to).length, ConfigDiff.diff(to, from).length)
      })
    )
  })

  it("never tells a secret", () => {
    fc.assert(
      fc.property(config, config, (from, to) => {
        assert.notInclude(words(from, to).join("\n"), "hush")
      })
    )
  })

  it("reads as a person would say it", () => {
    const from: NerveConfig = { ...empty, senses: [cpu] }
    assert.deepStrictEqual(words(from, from), [])
    assert.deepStrictEqual(words(from, { ...from, senses: [{ ...cpu, intervalMs: 1_000, throttleMs: 60_000 }] }), [
      "sense cpu: interval 5s -> 1s",
      "sense cpu: throttle none -> 1m"
    ])
    assert.deepStrictEqual(words(from, { ...from, senses: [{ ...cpu, group: GroupName.make("fast") }] }), [
      "sense cpu moved from group system to fast"
    ])
    assert.deepStrictEqual(words(from, { ...empty, maxRounds: 3 }), ["sense cpu removed", "max_rounds 20 -> 3"])
  })
})

describe("what follows from a difference", () => {
  const flow = {
    name: WorkflowName.make("triage"),
    concurrency: 1,
    overflow: "drop",
    maxQueue: 100,
    onChange: "finish-on-old",
    budget: null
  } as const
  const from: NerveConfig = { ...empty, workflows: [flow] }

  it("is a restart for what the daemon reads only when it starts", () => {
    const to: NerveConfig = { ...from, api: { host: "127.0.0.1", port: 1, token: null }, env: ["A"], maxRounds: 1 }
    assert.deepStrictEqual(ConfigDiff.needRestart(ConfigDiff.diff(from, to)), ["api", "env"])
  })

  it("is a new worker for each workflow when agents or extract changed, and for none when limits did", () => {
    const agents = [{ name: "writer", type: "command", model: null, timeoutMs: null }]
    const byAgent: NerveConfig = { ...from, agents }
    assert.deepStrictEqual(ConfigDiff.staleWorkflows(ConfigDiff.diff(from, byAgent), byAgent), ["triage"])
    const byLimit: NerveConfig = { ...from, workflows: [{ ...flow, concurrency: 2 }] }
    const changes = ConfigDiff.diff(from, byLimit)
    assert.deepStrictEqual(ConfigDiff.staleWorkflows(changes, byLimit), [])
    assert.deepStrictEqual(ConfigDiff.touchedWorkflows(changes, byLimit), ["triage"])
  })
})

/** With keys in order, so that equal values print alike. */
const canonical = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(canonical)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => a.localeCompare(b))
      .map(([key, inner]) => [key, canonical(inner)])
  )
}
