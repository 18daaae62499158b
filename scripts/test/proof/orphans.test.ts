/**
 * One round of the proof `orphans` (L6): a worker in every state with every kind of child, and the daemon killed with
 * `kill -9`; beside it the same with wardens killed first.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync } from "node:fs"
import { casesOf, isExcused, round } from "../../proof/orphans.ts"
import { cases } from "../../proof/orphans/OrphanRpcs.ts"

/** Of the children those that are nobody's, and that leave their worker's group. */
const few = cases.filter((one) => one.endsWith("/none") || one.endsWith("/doubleFork"))

describe.skipIf(!existsSync("/proc/self/cwd")).concurrent("a daemon killed with kill -9", () => {
  it.live("leaves no process, whatever its workers were at and whatever they had started", () =>
    Effect.map(round({ cases, wardensFirst: 0, boundMs: 60_000 }), ({ survivors }) =>
      assert.deepStrictEqual(casesOf(survivors), [])
    )
  )

  it.live("nor with one of its wardens killed first", () =>
    Effect.map(round({ cases: few, wardensFirst: 1, boundMs: 60_000 }), ({ survivors }) =>
      assert.deepStrictEqual(casesOf(survivors), [])
    )
  )

  it.live("and both wardens before it: who can notice leaves by itself, the next start ends the others", () =>
    Effect.gen(function* () {
      const { left, survivors } = yield* round({
        cases: few,
        wardensFirst: 2,
        boundMs: 60_000,
        except: isExcused
      })
      assert.deepStrictEqual(casesOf(survivors.filter((one) => !isExcused(one))), [])
      // They could not notice: that they live shows that the wardens were really gone.
      assert.includeMembers([...casesOf(survivors)], ["busy-none", "spawnSync-none", "stopped-none"])
      assert.deepStrictEqual(casesOf(left), [])
    })
  )
})
