/**
 * A pool under random edits: senses come, go, move, change their settings and their code, workers die,
 * all while computes run. Whatever the order: no edit cuts a compute, no two computes of a sense overlap,
 * and in the end every sense is where it is to be, there only, and with its last code.
 */
import { assert, describe, it } from "@effect/vitest"
import type { SenseConfig } from "@nerve/core/config/NerveConfig"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { noSignal, pass, sense, settle, start } from "./harness.ts"

const names = ["a", "b", "c", "d", "e"]
const groups = ["g", "h", "i"]

type Edit =
  | { readonly _tag: "Configure"; readonly senses: ReadonlyArray<SenseConfig> }
  | { readonly _tag: "Reload"; readonly sense: string }
  | { readonly _tag: "Trigger"; readonly sense: string }
  | { readonly _tag: "Restart"; readonly group: string }
  | { readonly _tag: "Pass"; readonly ms: number }

const configuration = fc
  .uniqueArray(
    fc.record({
      name: fc.constantFrom(...names),
      group: fc.constantFrom(...groups),
      intervalMs: fc.constantFrom(null, 500, 1_000),
      timeoutMs: fc.constantFrom(20_000, 30_000)
    }),
    { selector: ({ name }) => name, minLength: 1, maxLength: 5 }
  )
  .map((senses) => senses.map(({ name, ...rest }) => sense(name, rest)))

const edit: fc.Arbitrary<Edit> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ _tag: fc.constant("Configure" as const), senses: configuration }) },
  { weight: 4, arbitrary: fc.record({ _tag: fc.constant("Reload" as const), sense: fc.constantFrom(...names) }) },
  { weight: 3, arbitrary: fc.record({ _tag: fc.constant("Trigger" as const), sense: fc.constantFrom(...names) }) },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Restart" as const), group: fc.constantFrom(...groups) }) },
  { weight: 5, arbitrary: fc.record({ _tag: fc.constant("Pass" as const), ms: fc.constantFrom(0, 50, 300, 1_500) }) }
)

interface Scenario {
  readonly first: ReadonlyArray<SenseConfig>
  readonly edits: ReadonlyArray<Edit>
  readonly takes: ReadonlyArray<number>
}

const scenario: fc.Arbitrary<Scenario> = fc.record({
  first: configuration,
  edits: fc.array(edit, { minLength: 5, maxLength: 25 }),
  /** How long computes take, one after the other, over and over. */
  takes: fc.array(fc.constantFrom(0, 10, 400, 1_700), { minLength: 1, maxLength: 5 })
})

const live = ({ edits, first, takes }: Scenario) =>
  Effect.gen(function* () {
    /** Loaded in each child, with the version: what real workers would hold. */
    const held = new Map<string, Map<string, string>>()
    const running = new Map<string, number>()
    let overlaps = 0
    let count = 0
    const pool = yield* start({
      senses: first,
      compute: ({ sense: name }) =>
        Effect.suspend(() => {
          running.set(name, (running.get(name) ?? 0) + 1)
          if ((running.get(name) ?? 0) > 1) overlaps++
          return Effect.sleep(takes[count++ % takes.length] ?? 0)
        }).pipe(
          Effect.as(noSignal),
          Effect.ensuring(Effect.sync(() => running.set(name, (running.get(name) ?? 0) - 1)))
        )
    })
    let restarts = 0
    let wanted = first
    for (const one of edits) {
      switch (one._tag) {
        case "Configure":
          wanted = one.senses
          yield* pool.pool.configure(one.senses)
          break
        case "Reload":
          yield* pool.pool.reload(one.sense, [`senses/${one.sense}.ts`])
          break
        case "Trigger":
          yield* Effect.ignore(pool.pool.trigger(one.sense))
          break
        case "Restart":
          restarts++
          yield* pool.pool.restartGroup(one.group)
          break
        case "Pass":
          yield* pass(one.ms, 50)
      }
      yield* settle
    }
    yield* pass(12_000, 250)

    assert.strictEqual(overlaps, 0, "computes of one sense overlapped")
    // Only who asks for a restart cuts computes.
    if (restarts === 0) {
      assert.isEmpty(pool.of("ComputeInterrupted"))
      assert.isEmpty(pool.of("ComputeFailed"))
    }
    const living = pool.children.all().filter((child) => child.exited() === null)
    const workers = [...new Set(wanted.map(({ group }) => String(group)))].sort()
    assert.deepStrictEqual(living.map((child) => child.key).sort(), workers)

    // What each living child holds, by what it was told at its start and since.
    for (const child of living) {
      const init = child.spec.options.init as { readonly senses: ReadonlyArray<{ readonly name: string }> }
      held.set(child.key, new Map(init.senses.map(({ name }) => [name, ""])))
    }
    for (const asked of pool.asked.slice()) {
      const child = living.find(({ key }) => key === asked.group)
      if (child === undefined || pool.childOf(asked) !== child) continue
      const senses = held.get(asked.group)
      if (asked._tag === "Boot") senses?.set(asked.init.name, asked.init.version ?? "")
      if (asked._tag === "Drop") senses?.delete(asked.sense)
    }
    for (const group of workers) {
      const expected = wanted.filter((one) => one.group === group).map((one) => String(one.name))
      assert.deepStrictEqual([...(held.get(group)?.keys() ?? [])].sort(), expected.sort(), `senses of ${group}`)
    }
    const views = yield* pool.pool.views
    assert.deepStrictEqual(
      views.map(({ group, name, problem }) => [String(name), String(group), problem]).sort(),
      wanted.map(({ group, name }) => [String(name), String(group), null]).sort()
    )
    for (const view of views) assert.notStrictEqual(view.status, "waiting")
    // Nobody's files are left unread.
    const reloaded = new Set(edits.flatMap((one) => (one._tag === "Reload" ? [one.sense] : [])))
    for (const event of pool.of("SenseReloaded")) assert.isTrue(reloaded.has(event.sense))
  }).pipe(Effect.scoped)

describe("a pool under random edits", () => {
  it.live(
    "cuts nobody, overlaps nothing, and ends up as it was told",
    () =>
      Effect.promise(() =>
        // A failure prints the seed and the shortest scenario that shows it.
        fc.assert(
          fc.asyncProperty(scenario, (one) => Effect.runPromise(Effect.provide(live(one), TestClock.layer()))),
          { numRuns: Number(process.env["NERVE_RELOAD_RUNS"] ?? 60) }
        )
      ),
    120_000
  )
})
