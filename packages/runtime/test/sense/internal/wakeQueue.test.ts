import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { WakeQueue } from "../../../src/sense/internal/wakeQueue.ts"

describe("WakeQueue", () => {
  it("gives what is due and nothing else, the earliest first, whatever was set before", () => {
    const step = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({
          item: fc.integer({ min: 0, max: 30 }),
          at: fc.option(fc.integer({ min: 0, max: 100 }))
        })
      },
      { weight: 1, arbitrary: fc.record({ now: fc.integer({ min: 0, max: 100 }) }) }
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const queue = new WakeQueue<number>()
        const model = new Map<number, number>()
        for (const one of steps) {
          if ("now" in one) {
            const due = [...model].filter(([, at]) => at <= one.now)
            const taken = queue.takeDue(one.now)
            assert.deepStrictEqual(
              taken.map((item) => model.get(item)),
              due.map(([, at]) => at).sort((a, b) => a - b)
            )
            assert.sameMembers(
              [...taken],
              due.map(([item]) => item)
            )
            for (const item of taken) model.delete(item)
          } else {
            queue.set(one.item, one.at)
            if (one.at === null) model.delete(one.item)
            else model.set(one.item, one.at)
          }
          assert.strictEqual(queue.size, model.size)
          assert.strictEqual(queue.nextAt, Math.min(Infinity, ...model.values()))
        }
      })
    )
  })
})
