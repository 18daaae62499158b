/** The calls of a pool, and members that say what became of them. */
import type { Action } from "@nerve/core/supervision/PoolMachine"
import { assert, describe, it } from "@effect/vitest"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import { WorkerStopped } from "@nerve/runtime/supervision/WorkerError"
import { Clock, Context, Effect } from "effect"
import type { PendingCall } from "../../../src/supervision/CallTable.ts"
import { PoolCalls } from "../../../src/supervision/internal/poolCalls.ts"
import type { PoolCall } from "../../../src/supervision/internal/poolClient.ts"
import { PoolEngine } from "../../../src/supervision/internal/poolEngine.ts"
import * as poolSettings from "../../../src/supervision/internal/poolSettings.ts"
import type { PoolMember } from "../../../src/supervision/internal/poolMember.ts"

const settings = poolSettings.of({ size: 2 }, StopPolicy.standard)

/** Two members that keep what they are given. */
const twoMembers = Effect.gen(function* () {
  const given = new Map<number, Array<PendingCall>>([
    [1, []],
    [2, []]
  ])
  const member = (id: number): PoolMember => ({
    slot: id - 1,
    name: `pool/${id - 1}`,
    info: () => assert.fail("nobody asks"),
    submit: (call) => given.get(id)?.push(call),
    takeBack: () => false,
    cancel: () => {},
    acknowledge: () => {},
    kill: () => Effect.void,
    stop: () => Effect.void
  })
  const carryOut = (action: Action) => {
    if (action._tag === "Dispatch") calls.dispatch(action.call, action.member, action.waitedMs)
    if (action._tag === "Fail") calls.fail(action.call, action.failure)
  }
  const engine = new PoolEngine(settings, yield* Clock.Clock, Context.empty(), {
    carryOut,
    changed: () => {},
    beforeTick: () => {}
  })
  const calls: PoolCalls = new PoolCalls({
    name: "pool",
    bounds: { execMs: Infinity, waitMs: Infinity, bootMs: 1000 },
    engine,
    members: new Map([1, 2].map((id) => [id, member(id)])),
    metrics: { waited: () => {}, busy: () => {}, end: () => {} },
    emitUnsafe: () => {}
  })
  engine.step({ _tag: "Tick" })
  for (const id of [1, 2]) engine.step({ _tag: "Ready", member: id })
  const ends: Array<string> = []
  const call: PoolCall = {
    method: "Echo",
    streaming: false,
    payload: null,
    options: undefined,
    settle: ({ t }) => ends.push(t),
    chunk: () => {},
    fail: ({ _tag }) => ends.push(_tag)
  }
  return { calls, given, ends, call }
})

describe("poolCalls", () => {
  it.effect("give a call that a member would not take to another one", () =>
    Effect.gen(function* () {
      const { call, calls, ends, given } = yield* twoMembers
      calls.submit(call)
      given.get(1)?.[0]?.fail(new WorkerStopped({ key: "pool/0" }))
      assert.deepStrictEqual(ends, [])
      given.get(2)?.[0]?.settle({ t: "done", id: 1, value: null })
      assert.deepStrictEqual(ends, ["done"])
    })
  )

  it.effect("tell the end of a call that had left for its member, and do not run it again", () =>
    Effect.gen(function* () {
      const { call, calls, ends, given } = yield* twoMembers
      calls.submit(call)
      const pending = given.get(1)?.[0]
      if (pending !== undefined) pending.id = 7
      pending?.fail(new WorkerStopped({ key: "pool/0" }))
      assert.deepStrictEqual(ends, ["WorkerStopped"])
      assert.deepStrictEqual(given.get(2), [])
    })
  )

  it.effect("tell a caller that has gone nothing", () =>
    Effect.gen(function* () {
      const { call, calls, ends, given } = yield* twoMembers
      calls.cancel(calls.submit(call))
      given.get(1)?.[0]?.settle({ t: "done", id: 1, value: null })
      assert.deepStrictEqual(ends, [])
    })
  )
})
