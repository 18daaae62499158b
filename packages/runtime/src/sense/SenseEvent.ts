/**
 * What happens to senses, as data. `SensePool` hands each event to its `onEvent` and does not go on
 * with the sense concerned before that has returned: so an event is written before its effects (M13).
 */
import type { GroupName, SenseName } from "@nerve/core/domain/Ids"
import type { Problem } from "@nerve/core/domain/Problem"
import type { TickLine } from "@nerve/core/domain/Tick"
import type { Cause, Fate } from "@nerve/core/sense/SenseSchedule"
import type { Launch } from "@nerve/core/wire/SenseRpcs"
import type * as Schema from "effect/Schema"
import type { WorkerEvent } from "../supervision/WorkerEvent.ts"

/** What each end of a compute tells. */
interface Compute {
  readonly sense: SenseName
  readonly group: GroupName
  /** Why it ran. */
  readonly cause: Cause
  /** When it was due, in milliseconds since the Unix epoch. */
  readonly dueAt: number
  /** When it started, likewise. */
  readonly startedAt: number
  /** Milliseconds from its start to its end. */
  readonly durationMs: number
  /** What it logged, up to a bound, and how many lines there were beyond. */
  readonly lines: ReadonlyArray<TickLine>
  readonly linesLeftOut: number
}

/** Ticks or triggers that came to no compute of their own, `count` of them in one stretch. */
export interface TicksDropped {
  readonly sense: SenseName
  readonly cause: Cause
  readonly fate: Fate
  /** When the first of them was due, in milliseconds since the Unix epoch. */
  readonly dueAt: number
  readonly count: number
}

export type SenseEvent =
  /** A signal, with the workflows that it launches (M12). `on:` dependents are triggered after this event. */
  | (Compute & {
      readonly _tag: "SignalEmitted"
      readonly value: Schema.Json
      readonly launches: ReadonlyArray<Launch>
      /** Names the signal in the sense's database; see `SenseRpcs`. */
      readonly key?: string
    })
  /** It ended without a signal (S6); `reason` if it gave one. */
  | (Compute & { readonly _tag: "ComputeEnded"; readonly reason: string | null })
  /** It threw, its result did not fit, or its worker died under it twice in a row. */
  | (Compute & { readonly _tag: "ComputeFailed"; readonly message: string; readonly stack: string | null })
  /** The soft timeout passed and it gave way (S4). */
  | (Compute & { readonly _tag: "ComputeTimedOut"; readonly timeoutMs: number })
  /** It did not give way within the grace period: its worker was killed (S4). */
  | (Compute & {
      readonly _tag: "ComputeKilled"
      /** Timeout and grace period, in milliseconds. */
      readonly boundMs: number
      /**
       * The group's other senses that were computing, and are computed again. A worker stuck in a
       * synchronous loop answers nobody: it may be one of these that is stuck.
       */
      readonly others: ReadonlyArray<SenseName>
    })
  /** Its worker went away under it. It is computed again. */
  | (Compute & { readonly _tag: "ComputeInterrupted"; readonly reason: string })
  /** It does not load: it is not computed until its worker starts anew and loads it. */
  | { readonly _tag: "SenseBroken"; readonly sense: SenseName; readonly group: GroupName; readonly problem: Problem }
  /** Its code was loaded anew, for these files changed; they are relative to the workspace. */
  | {
      readonly _tag: "SenseReloaded"
      readonly sense: SenseName
      readonly group: GroupName
      readonly files: ReadonlyArray<string>
    }
  /** It loads again. */
  | { readonly _tag: "SenseRecovered"; readonly sense: SenseName; readonly group: GroupName }
  /** Something happened to a group's worker. */
  | { readonly _tag: "Worker"; readonly event: WorkerEvent<GroupName> }

/** The events that end a compute. */
export type ComputeEvent = Extract<SenseEvent, { readonly durationMs: number }>
