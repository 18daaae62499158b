/** The queue of one key: order, bounds, and callers that act in the middle of it. */
import type { Channel, SendResult } from "@nerve/runtime/ipc/Channel"
import { CallTable, type PendingCall } from "@nerve/runtime/supervision/CallTable"
import { WorkerStopped } from "@nerve/runtime/supervision/WorkerError"
import { Effect } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

interface Wire {
  readonly channel: Channel
  /** Methods of the calls that were sent, in order. */
  readonly calls: Array<string>
  /** Other frames. */
  readonly others: Array<unknown>
  full: boolean
  /** Becomes full after so many calls. */
  room: number
  result: (method: string) => SendResult
}

const makeWire = (): Wire => {
  const calls: Array<string> = []
  const others: Array<unknown> = []
  const wire: Wire = {
    calls,
    others,
    full: false,
    room: Infinity,
    result: () => "sent",
    channel: {
      sendUnsafe: (frame) => {
        if (typeof frame !== "object" || frame === null || !("method" in frame)) {
          others.push(frame)
          return "sent"
        }
        const result = wire.result(String(frame.method))
        if (result !== "sent") return result
        calls.push(String(frame.method))
        wire.room -= 1
        return "sent"
      },
      isFullUnsafe: () => wire.full || wire.room <= 0,
      flushUnsafe: () => {},
      drained: Effect.void,
      onFrameUnsafe: () => {},
      onEndUnsafe: () => {},
      pauseUnsafe: () => {},
      resumeUnsafe: () => {},
      closeUnsafe: () => {}
    }
  }
  return wire
}

interface Tracked extends PendingCall {
  readonly ends: Array<string>
}

/** A call that notes how it ended; `then` runs at once, as a resumed caller does. */
const call = (method: string, then: () => void = () => {}): Tracked => {
  const ends: Array<string> = []
  const end = (how: string) => {
    ends.push(how)
    then()
  }
  return {
    method,
    payload: null,
    ends,
    settle: (frame) => end(frame.t),
    chunk: (values) => void ends.push(`chunk of ${values.length}`),
    fail: (error) => end(error._tag),
    id: undefined
  }
}

const makeTable = (capacity = 100) => {
  const seen = { demands: 0, idles: 0 }
  const table = new CallTable({
    key: "a",
    capacity,
    onDemand: () => void (seen.demands += 1),
    onIdle: () => void (seen.idles += 1)
  })
  return { table, seen }
}

const stopped = new WorkerStopped({ key: "a" })

describe("CallTable", () => {
  it("sends what waits first, and then what comes (R4)", () => {
    const { table, seen } = makeTable()
    const wire = makeWire()
    for (const method of ["1", "2", "3"]) table.submit(call(method))
    expect([wire.calls, seen.demands, table.waiting]).toEqual([[], 3, 3])
    table.attach(wire.channel)
    table.submit(call("4"))
    expect([wire.calls, table.waiting, table.inFlight]).toEqual([["1", "2", "3", "4"], 0, 4])
  })

  it("bounds what waits, not what a channel takes", () => {
    const { table } = makeTable(2)
    const calls = ["1", "2", "3"].map((method) => call(method))
    for (const one of calls) table.submit(one)
    expect(calls.map((one) => one.ends)).toEqual([[], [], ["MailboxFull"]])
    const wire = makeWire()
    table.attach(wire.channel)
    for (let i = 0; i < 10; i++) table.submit(call("more"))
    expect(wire.calls).toHaveLength(12)
  })

  it("lets what comes after a full channel wait behind what waits already", () => {
    const { table } = makeTable()
    const wire = makeWire()
    table.attach(wire.channel)
    wire.full = true
    table.submit(call("1"))
    wire.full = false
    table.submit(call("2"))
    expect(wire.calls).toEqual([])
    table.flush()
    expect(wire.calls).toEqual(["1", "2"])
  })

  it("keeps a call that comes to a channel that has ended for the next one", () => {
    const { table } = makeTable()
    const [dead, next] = [makeWire(), makeWire()]
    dead.result = () => "ended"
    table.attach(dead.channel)
    const first = call("1")
    table.submit(first)
    table.submit(call("2"))
    table.failInFlight(stopped)
    table.attach(next.channel)
    expect([next.calls, first.ends]).toEqual([["1", "2"], []])
  })

  it("a call that cannot be sent fails alone", () => {
    const { table } = makeTable()
    const wire = makeWire()
    wire.result = (method) => (method === "big" ? "too-large" : method === "odd" ? "not-json" : "sent")
    const calls = ["1", "big", "2", "odd", "3"].map((method) => call(method))
    for (const one of calls) table.submit(one)
    table.attach(wire.channel)
    expect(wire.calls).toEqual(["1", "2", "3"])
    expect(calls.map((one) => one.ends)).toEqual([[], ["ProtocolViolation"], [], ["ProtocolViolation"], []])
    expect(table.inFlight).toBe(3)
  })

  it("loses none when a failing call's caller withdraws another one while the queue is sent", () => {
    const { table } = makeTable()
    const wire = makeWire()
    wire.result = (method) => (method === "big" ? "too-large" : "sent")
    const sibling = call("sibling")
    const big = call("big", () => table.withdraw(sibling))
    const rest = ["3", "4"].map((method) => call(method))
    for (const one of [big, sibling, ...rest]) table.submit(one)
    wire.room = 1
    table.attach(wire.channel)
    expect([wire.calls, table.waiting]).toEqual([["3"], 1])
    wire.room = 1
    table.flush()
    expect([wire.calls, sibling.ends]).toEqual([["3", "4"], []])
  })

  it("sends in order what a failing call's caller submits while the queue is sent", () => {
    const { table } = makeTable()
    const wire = makeWire()
    wire.result = (method) => (method === "big" ? "too-large" : "sent")
    const big = call("big", () => table.submit(call("again")))
    for (const one of [big, call("2")]) table.submit(one)
    table.attach(wire.channel)
    expect(wire.calls).toEqual(["2", "again"])
  })

  it("acknowledges and cancels over the channel of what is in flight, also when no new calls go there", () => {
    const { table, seen } = makeTable()
    const wire = makeWire()
    table.attach(wire.channel)
    const one = call("1")
    table.submit(one)
    table.detach()
    table.acknowledge(one, 3)
    table.withdraw(one)
    table.withdraw(one)
    expect(wire.others).toEqual([
      { t: "ack", id: 1, n: 3 },
      { t: "cancel", id: 1 }
    ])
    expect([table.inFlight, seen.idles, one.ends]).toEqual([0, 1, []])
    table.submit(call("2"))
    expect([wire.calls, table.waiting]).toEqual([["1"], 1])
  })

  it("an answer reaches the call that it is for, once; a late one reaches none", () => {
    const { table } = makeTable()
    table.attach(makeWire().channel)
    const [one, two] = [call("1"), call("2")]
    table.submit(one)
    table.submit(two)
    expect(table.settle({ t: "done", id: 2, value: null })).toBe(true)
    expect(table.settle({ t: "done", id: 2, value: null })).toBe(false)
    expect(table.violate(2, "late")).toBe(false)
    expect(table.violate(1, "no answer at all")).toBe(true)
    expect([one.ends, two.ends]).toEqual([["ProtocolViolation"], ["done"]])
    expect([0, 1, 2, 3, 1.5].map((id) => table.wasAsked(id))).toEqual([false, true, true, false, false])
  })

  it("refuses what it is told to refuse, and one that was made to refuse takes nothing", () => {
    const { table } = makeTable()
    table.refuse(stopped)
    const one = call("1")
    table.submit(one)
    table.refuse(undefined)
    table.submit(call("2"))
    expect([one.ends, table.waiting]).toEqual([["WorkerStopped"], 1])
    const none = call("3")
    CallTable.refusing("a", stopped).submit(none)
    expect(none.ends).toEqual(["WorkerStopped"])
  })

  it("whatever happens, every call ends once or is withdrawn, and those sent keep their order", () => {
    const operation = fc.oneof(
      { weight: 6, arbitrary: fc.constant("submit") },
      fc.constantFrom("withdraw", "attach", "detach", "die", "answer", "violate", "fill", "empty", "flush", "endless")
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(operation, fc.nat(1000)), { maxLength: 80 }), (operations) => {
        const { table } = makeTable(5)
        let wire = makeWire()
        const all: Array<Tracked> = []
        const withdrawn = new Set<Tracked>()
        const sent: Array<string> = []
        const pick = (n: number) => all[n % Math.max(1, all.length)]
        for (const [what, n] of operations) {
          switch (what) {
            case "submit": {
              const one = call(String(all.length))
              all.push(one)
              table.submit(one)
              break
            }
            case "withdraw": {
              const one = pick(n)
              if (one === undefined || one.ends.length > 0) break
              withdrawn.add(one)
              table.withdraw(one)
              break
            }
            case "attach":
              if (!table.attached && table.inFlight === 0) {
                sent.push(...wire.calls)
                wire = makeWire()
                table.attach(wire.channel)
              }
              break
            case "detach":
              table.detach()
              break
            case "die":
              table.failInFlight(stopped)
              break
            case "answer":
              table.settle({ t: "done", id: n % 20, value: null })
              break
            case "violate":
              table.violate(n % 20, "odd")
              break
            case "fill":
              wire.full = true
              break
            case "empty":
              wire.full = false
              table.flush()
              break
            case "flush":
              table.flush()
              break
            case "endless":
              wire.result = () => "ended"
              break
          }
        }
        table.failInFlight(stopped)
        table.failWaiting(stopped)
        for (const one of all) expect(one.ends).toHaveLength(withdrawn.has(one) ? 0 : 1)
        sent.push(...wire.calls)
        expect(sent.map(Number)).toEqual([...sent.map(Number)].sort((a, b) => a - b))
        expect([table.inFlight, table.waiting]).toEqual([0, 0])
      }),
      { numRuns: 1000 }
    )
  })
})
