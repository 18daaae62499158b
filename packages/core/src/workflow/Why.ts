/**
 * Why a thread is where it is, in words: pure, from its run and where it stands among the others.
 */
import type { PauseCause, WorkflowRun } from "../domain/Thread.ts"
import * as DurationText from "../config/DurationText.ts"
import type { Hold } from "./Admission.ts"

/** Where a thread stands among the others of its workflow. */
export interface Situation {
  readonly hold: Hold
  /** Why starts are held; empty when they are not. */
  readonly holdReason: string
  /** Threads that have a slot, and how many may. */
  readonly active: number
  readonly concurrency: number
  /** Threads that go first in the queue; negative when it is not in the queue. */
  readonly ahead: number
  /** Its end is in the log, and its role is being stopped. */
  readonly stopping: boolean
  /** It has a slot. */
  readonly atWork: boolean
}

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`

/** `3s ago`; whole units, the largest of which there are two. */
const ago = (since: number, now: number): string =>
  now - since < 1_000 ? "just now" : `${coarse(Math.max(0, now - since))} ago`

const ahead = (until: number, now: number): string => (until <= now ? "now" : `in ${coarse(until - now)}`)

const units = [86_400_000, 3_600_000, 60_000, 1_000] as const

const coarse = (ms: number): string => {
  const unit = units.find((one) => ms >= 2 * one) ?? (ms >= 1_000 ? 1_000 : 1)
  return DurationText.format(Math.floor(ms / unit) * unit)
}

/** One sentence, then what more there is to know and to do, a line each. */
export const explain = (run: WorkflowRun, situation: Situation | null, now: number): ReadonlyArray<string> => [
  ...(run.endedAt === null ? active(run, situation, now) : ended(run, now)),
  ...(run.crashes === 0 ? [] : [`its worker died under it ${run.crashes === 1 ? "once" : `${run.crashes} times`}`]),
  ...(run.origin === null ? [] : [`forked from ${run.origin.threadId} after round ${run.origin.round}`]),
  ...(run.parent === null
    ? []
    : [`started by ${run.parent}, which ${run.endedAt === null ? "waits" : "waited"} for it`])
]

const ended = (run: WorkflowRun, now: number): ReadonlyArray<string> => [
  `${run.status} ${ago(run.endedAt ?? now, now)}${run.reason === "" ? "" : `: ${run.reason}`}`,
  ...(run.status === "completed" || run.status === "dropped"
    ? []
    : [
        run.rounds === 0
          ? `run it again with: nerve thread retry ${run.threadId}`
          : `take it up after round ${run.rounds} with: nerve thread retry ${run.threadId}`
      ])
]

const active = (run: WorkflowRun, situation: Situation | null, now: number): ReadonlyArray<string> => {
  if (situation === null) return [`${run.status} when the daemon stopped; goes on at its next start`]
  if (situation.stopping) return ["its end is recorded; its role is being stopped"]
  if (run.paused !== null) return paused(run, situation, now)
  if (run.wait !== null) return waiting(run, now)
  if (situation.ahead >= 0) return [queued(run, situation)]
  return [`at work on round ${run.rounds + 1} of at most ${run.maxRounds}`]
}

const queued = (run: WorkflowRun, { active, ahead, concurrency, hold, holdReason }: Situation): string => {
  const behind = ahead === 0 ? "next in the queue" : `queued behind ${plural(ahead, "thread")}`
  const priority = run.priority === 0 ? "" : `, with priority ${run.priority}`
  switch (hold) {
    case "none":
      return `${behind}${priority}: ${active} of ${plural(concurrency, "slot")} taken`
    case "drain":
      return `${behind}${priority}: the workflow's worker is being replaced`
    case "given-up":
      return `${behind}${priority}: the workflow's worker was given up: ${holdReason}`
    case "paused":
      return `${behind}${priority}: the workflow is paused: ${holdReason}`
  }
}

const why = {
  request: "on request",
  code: "because its code has changed",
  failure: "because it needs help",
  budget: "because its budget is used up"
} as const satisfies Record<PauseCause, string>

const paused = (run: WorkflowRun, { atWork }: Situation, now: number): ReadonlyArray<string> => {
  if (run.paused === null) return []
  const { by, reason, since } = run.paused
  const when = atWork ? "pauses after the round in flight" : `paused ${ago(since, now)}`
  return [
    `${when}, ${why[by]}${reason === "" ? "" : `: ${reason}`}`,
    `${by === "code" ? "go on with the new code" : "go on"} with: nerve thread resume ${run.threadId}`,
    ...(run.wait === null ? [] : waiting(run, now))
  ]
}

const waiting = (run: WorkflowRun, now: number): ReadonlyArray<string> => {
  if (run.wait === null) return []
  const { role, since, wait } = run.wait
  switch (wait._tag) {
    case "Approval":
      return [
        `waits for an answer to ${role}, asked ${ago(since, now)}: ${wait.question}`,
        ...(wait.until === null ? [] : [`counts as timed out ${ahead(wait.until, now)}`]),
        wait.schema === null
          ? `answer with: nerve thread answer ${run.threadId} --approve (or --reject)`
          : `answer with: nerve thread answer ${run.threadId} --approve --answer JSON (or --reject); ` +
            "nerve thread inspect shows what fits"
      ]
    case "Sleep":
      return [`sleeps (${role}), goes on ${ahead(wait.until, now)}`]
    case "Child":
      return [`waits for a thread of ${wait.workflow} (${role}), started ${ago(since, now)}`]
  }
}
