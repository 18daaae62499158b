/**
 * What the end of a child means: nothing, or a crash; and what a crash means for the others.
 */
import * as CircuitBreaker from "../CircuitBreaker.ts"
import { formatExit, type LifecycleExit } from "../LifecycleState.ts"
import { type Child, type Crash, isRestarted, isUp, sharedFrom } from "../SupervisorState.ts"
import { count, endTrial } from "./supervisorBreaker.ts"
import { forget } from "./supervisorChildren.ts"
import type { Draft } from "./supervisorDraft.ts"
import { stopAll } from "./supervisorStops.ts"

/** A child has ended. */
export const exited = (draft: Draft, child: Child, exit: LifecycleExit, now: number): void => {
  const uptimeMs = child.runningSince === null ? 0 : Math.max(0, now - child.runningSince)
  const down: Child = { ...child, phase: "Down", runningSince: null }
  if (child.removing) {
    forget(draft, child.id)
    return endTrial(draft, child.id)
  }
  const { round } = draft.machine
  if (round?.stage === "Stopping" && round.ids.includes(child.id)) {
    // Asked or not, it goes with the others: no crash of its own.
    return draft.setChild(down, { phase: child.restart === "never" ? "Down" : "Queued" })
  }
  if (draft.machine.mode === "Stopping" || child.phase === "Stopping" || !isRestarted(child, exit)) {
    draft.setChild(down, {})
    return endTrial(draft, child.id)
  }
  crashed(draft, { ...down, crashes: child.crashes + 1 }, { id: child.id, exit, uptimeMs }, now)
}

const crashed = (draft: Draft, child: Child, crash: Crash, now: number): void => {
  draft.setChild(child, {})
  const { intensity, strategy } = draft.machine.settings
  if (intensity !== null) {
    const crashes = CircuitBreaker.within(draft.machine.crashes, now, intensity.withinMs)
    draft.set({ crashes })
    if (crashes.length >= intensity.max) {
      return stopAll(
        draft,
        `${crashes.length} crashes within ${intensity.withinMs} ms, the last of ${child.id}: ${formatExit(crash.exit)}`
      )
    }
  }
  count(draft, now)
  if (strategy === "one-for-one") {
    draft.setChild(child, { phase: "Delayed" })
    return draft.act({ _tag: "AskPolicy", incarnation: child.incarnation, crash })
  }
  beginRestart(draft, child, crash)
}

/** Everybody who shares the culprit's fate is stopped, last first; who is down already waits with them. */
const beginRestart = (draft: Draft, culprit: Child, crash: Crash): void => {
  const { order, round } = draft.machine
  if (round !== null && round.stage !== "Starting" && round.stage !== "Stopping") {
    draft.act({ _tag: "CancelDelay", id: round.crash.id })
  }
  const from = sharedFrom(draft.machine, culprit.id)
  // Who is still queued by a round that this one replaces is started by this one.
  const ids = order.filter((id, i) => i >= from || draft.child(id)?.phase === "Queued")
  for (const id of ids) {
    const child = draft.child(id)
    if (child !== undefined && !isUp(child) && child.restart !== "never") draft.setChild(child, { phase: "Queued" })
  }
  draft.set({ round: { stage: "Stopping", ids, at: ids.length - 1, crash } })
}
