/**
 * An ordinary run and an ordinary tick, for tests that are about one field of them.
 */
import { WorkflowRun } from "@nerve/core/domain/Thread"
import { SenseName } from "@nerve/core/domain/Ids"
import type { Tick, TickInput } from "@nerve/core/domain/Tick"
import { Schema } from "effect"

/** A thread that has just been started. */
export const run = (over: Partial<typeof WorkflowRun.Encoded> = {}): WorkflowRun =>
  Schema.decodeSync(WorkflowRun)({
    threadId: "t-1",
    workflow: "investigate",
    status: "started",
    exitCode: null,
    reason: "",
    prompt: "",
    maxRounds: 20,
    dryRun: false,
    rounds: 0,
    crashes: 0,
    createdId: 1,
    createdAt: 1_000,
    startedAt: 1_000,
    endedAt: null,
    phase: null,
    wait: null,
    paused: null,
    version: null,
    key: null,
    priority: 0,
    parent: null,
    origin: null,
    place: null,
    ...over
  })

/** A compute that had nothing to say, before it is recorded. */
export const tickInput = (sense: string, over: Partial<TickInput> = {}): TickInput => ({
  sense: SenseName.make(sense),
  cause: "interval",
  outcome: "no-signal",
  dueAt: 1_000,
  startedAt: 1_003,
  durationMs: 12.4,
  count: 1,
  detail: null,
  signal: null,
  threads: [],
  lines: [],
  linesLeftOut: 0,
  ...over
})

/** The same as it was recorded. */
export const tick = (id: number, sense: string, over: Partial<TickInput> = {}): Tick => ({
  id,
  ...tickInput(sense, over)
})
