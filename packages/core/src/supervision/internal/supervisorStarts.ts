/**
 * Starting children by order: a round goes forward through ids, each child when the one before it runs or
 * has ended.
 */
import type { Child, Round } from "../SupervisorState.ts"
import type { Draft } from "./supervisorDraft.ts"

/** The first start of all. */
export const startAll = (draft: Draft): void => {
  draft.set({ mode: "Running" })
  startRound(draft, draft.machine.order)
}

/** A round of starts. Who was never up takes part; who went down for good does not. */
export const startRound = (draft: Draft, ids: ReadonlyArray<string>): void => {
  for (const id of ids) {
    const child = draft.child(id)
    if (child?.phase === "Down" && child.incarnation === 0) draft.setChild(child, { phase: "Queued" })
  }
  draft.set({ round: { stage: "Starting", ids, at: 0 } })
}

/** Its next incarnation. */
export const spawn = (draft: Draft, child: Child): void => {
  const incarnation = child.incarnation + 1
  draft.setChild(child, { phase: "Starting", incarnation, runningSince: null })
  draft.act({ _tag: "Spawn", id: child.id, incarnation })
}

/** It runs: the next one's turn comes with the pumping. */
export const started = (draft: Draft, child: Child, now: number): void => {
  if (child.phase !== "Starting") return
  draft.setChild(child, { phase: "Running", runningSince: now })
  if (draft.machine.trial === child.id) {
    draft.act({ _tag: "StartBreakerTimer", afterMs: draft.machine.settings.breaker?.trialMs ?? 0 })
  }
  if (draft.machine.mode === "Suspended") draft.act({ _tag: "SuspendChild", id: child.id })
}

/** Starts the next one that is queued, when nobody before it is on the way. */
export const proceed = (draft: Draft, round: Extract<Round, { readonly stage: "Starting" }>): void => {
  let { at } = round
  for (; at < round.ids.length; at++) {
    const child = draft.child(round.ids[at] ?? "")
    if (child?.phase === "Starting" || child?.phase === "Stopping") break
    if (child?.phase !== "Queued") continue
    spawn(draft, child)
    break
  }
  if (at < round.ids.length) return draft.set({ round: { ...round, at } })
  draft.set({ round: null })
  draft.act({ _tag: "RoundDone" })
}
