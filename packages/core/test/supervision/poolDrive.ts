/** A pool of the decisions to be driven by hand, step by step, with what it asks for as short texts. */
import * as PoolMachine from "@nerve/core/supervision/PoolMachine"
import * as PoolState from "@nerve/core/supervision/PoolState"
import * as CallMap from "../../src/supervision/internal/callMap.ts"
import { alarm } from "../../src/supervision/internal/poolDeadlines.ts"

/** A pool of two, unless told otherwise. */
const settings = (over: Partial<PoolState.Settings> = {}): PoolState.Settings => ({
  minimum: 2,
  maximum: 2,
  queue: 3,
  concurrency: 1,
  maxJobs: 0,
  ttlMs: Infinity,
  growAfterMs: 50,
  idleMs: 1000,
  cancelMs: 100,
  drainMs: 500,
  ...over
})

/** A pool with its clock, what it asked for so far, and shorthands for inputs. */
export const drive = (over: Partial<PoolState.Settings> = {}) => {
  let state = PoolState.make(settings(over))
  let now = 0
  let calls = 0
  let log: Array<PoolMachine.Action> = []
  const feed = (input: PoolMachine.Input) => {
    const decision = PoolMachine.decide(state, input, now)
    state = decision.state
    log.push(...decision.actions)
    return decision
  }
  const self = {
    feed,
    state: () => state,
    now: () => now,
    /** Time passes, with a tick whenever one is due. */
    pass: (ms: number) => {
      const end = now + ms
      for (let at = alarm(state); at <= end; at = alarm(state)) {
        now = Math.max(now, at)
        feed({ _tag: "Tick" })
      }
      now = end
    },
    submit: (timeoutMs = Infinity, waitMs = Infinity) => {
      calls += 1
      feed({ _tag: "Submitted", call: calls, timeoutMs, waitMs })
      return calls
    },
    ready: (...members: ReadonlyArray<number>) => {
      for (const member of members) feed({ _tag: "Ready", member })
    },
    crash: (member: number) =>
      feed({ _tag: "Exited", member, exit: { code: 1, signal: null }, uptimeMs: 10, reason: "exit code 1" }),
    end: (call: number) => {
      const member = state.members.find((one) => CallMap.get(one.running, call) !== undefined)
      return feed({ _tag: "Ended", call, member: member?.id ?? 0 })
    },
    /** What was asked for since the last look, as short texts. */
    asked: () => {
      const seen = log.map(text)
      log = []
      return seen
    },
    running: () => state.members.map((one) => one.running.size)
  }
  feed({ _tag: "Tick" })
  return self
}

const text = (action: PoolMachine.Action): string => {
  switch (action._tag) {
    case "Boot":
      return `boot ${action.member} in ${action.slot}${action.replaces === null ? "" : ` for ${action.replaces} (${action.why})`}`
    case "Dispatch":
      return `call ${action.call} to ${action.member}`
    case "SendCancel":
      return `cancel ${action.call} in ${action.member}`
    case "Fail":
      return `fail ${action.call} ${action.failure._tag}`
    case "Kill":
      return `kill ${action.member}`
    case "Stop":
      return `stop ${action.member}`
    case "AskPolicy":
      return `ask for ${action.slot}`
    case "ForgetCrashes":
      return `forget ${action.slot}`
    case "GaveUp":
      return `gave up ${action.slot}`
    case "RecycleAbandoned":
      return `keep ${action.slot}`
    case "Resized":
      return `size ${action.size}`
  }
}

/** Two ready workers, 1 and 2. */
export const twoReady = (over: Partial<PoolState.Settings> = {}) => {
  const pool = drive(over)
  pool.ready(1, 2)
  pool.asked()
  return pool
}
