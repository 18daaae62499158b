/**
 * A workspace's configuration as the rest of nerve sees it: decoded, cross-checked, defaults filled
 * in, durations in milliseconds. `ConfigParser` makes it from the text of `nerve.yaml`.
 */
import * as Context from "effect/Context"
import * as Schema from "effect/Schema"
import { GroupName, SenseName, WorkflowName } from "../domain/Ids.ts"
import * as CronText from "./CronText.ts"

/** Times of day and days, as a cron expression. */
export const CronConfig = Schema.Struct({
  /** `minute hour day month weekday`, or with seconds in front. */
  expression: Schema.String,
  /** Name or offset; null for the machine's own. */
  timeZone: Schema.NullOr(Schema.String)
}).check(
  Schema.makeFilter(({ expression, timeZone }) =>
    CronText.isValid(expression, timeZone) ? undefined : `expected ${CronText.expected}`
  )
)
export type CronConfig = typeof CronConfig.Type

/**
 * What becomes of ticks of an interval or cron that could not start when they were due, because the
 * machine slept, the worker was away or the compute before took too long: `once` makes one compute of
 * them all, `skip` leaves out what is late, `all` makes up for each (a hundred at most).
 */
export const CatchUp = Schema.Literals(["once", "skip", "all"])
export type CatchUp = typeof CatchUp.Type

export const SenseConfig = Schema.Struct({
  name: SenseName,
  /** Senses of one group share a worker; a sense without a group has one of its own name. */
  group: GroupName,
  /** Milliseconds between computes; null when only triggers or `cron` start it. */
  intervalMs: Schema.NullOr(Schema.Finite),
  /** Instead of an interval. */
  cron: Schema.NullOr(CronConfig),
  catchUp: CatchUp,
  /** Least time between the starts of two computes; null for none. */
  throttleMs: Schema.NullOr(Schema.Finite),
  /** Soft timeout: the compute's abort signal fires. */
  timeoutMs: Schema.Finite,
  /** After the soft timeout, how long until the worker is killed. */
  gracePeriodMs: Schema.Finite,
  /** Senses whose signals trigger this one (S10). */
  on: Schema.Array(SenseName),
  /** What the sense's own Schema of `params` decodes. Absent: none. */
  params: Schema.optionalKey(Schema.Json)
})
export type SenseConfig = typeof SenseConfig.Type

export const Overflow = Schema.Literals(["drop", "queue"])
export type Overflow = typeof Overflow.Type

/**
 * What becomes of a workflow's threads when its code changes (M9).
 *
 * - `finish-on-old`: who runs finishes on the old worker, who comes waits for the new one. A thread
 *   that began on code that is gone (after a restart, or a long wait) pauses and says so.
 * - `resume-on-new-code`: rounds in flight are finished, then all go on with the new code.
 * - `interrupt`: who runs ends as `interrupted`.
 */
export const OnChange = Schema.Literals(["finish-on-old", "resume-on-new-code", "interrupt"])
export type OnChange = typeof OnChange.Type

export const WorkflowConfig = Schema.Struct({
  name: WorkflowName,
  /** Active threads at most. */
  concurrency: Schema.Int,
  overflow: Overflow,
  /** Queued threads at most, when `overflow` is `queue`. */
  maxQueue: Schema.Int,
  onChange: OnChange,
  /** What a thread may take before it pauses; null: no bound. `costUsd` is in US dollars. */
  budget: Schema.NullOr(Schema.Struct({ tokens: Schema.NullOr(Schema.Int), costUsd: Schema.NullOr(Schema.Finite) }))
})
export type WorkflowConfig = typeof WorkflowConfig.Type

export const AgentConfig = Schema.Struct({
  name: Schema.String,
  /** `openai`, `command`, `cursor-agent`, `hermes`, `scripted`. */
  type: Schema.String,
  model: Schema.NullOr(Schema.String),
  timeoutMs: Schema.NullOr(Schema.Finite)
})
export type AgentConfig = typeof AgentConfig.Type

export const ApiConfig = Schema.Struct({
  host: Schema.String,
  port: Schema.Int,
  token: Schema.NullOr(Schema.String)
})
export type ApiConfig = typeof ApiConfig.Type

/**
 * How changes of nerve.yaml and of the code that it names are noticed: as the system reports them, with
 * polling where it cannot; by polling always; or only when somebody asks for a reload.
 */
export const Watch = Schema.Literals(["auto", "poll", "never"])
export type Watch = typeof Watch.Type

export const LogConfig = Schema.Struct({
  /** Whole days older than this go into files. */
  archiveAfter: Schema.Finite,
  /** What is archived, and threads that have ended, are removed when older than this; null: never. */
  keep: Schema.NullOr(Schema.Finite)
})
export type LogConfig = typeof LogConfig.Type

export const NerveConfig = Schema.Struct({
  senses: Schema.Array(SenseConfig),
  workflows: Schema.Array(WorkflowConfig),
  /** Rounds of a thread at most, unless its launch says otherwise. */
  maxRounds: Schema.Int,
  /** What of the log is archived, and how long it is kept. Milliseconds. */
  log: LogConfig,
  /** Null: no HTTP API. */
  api: Schema.NullOr(ApiConfig),
  extract: Schema.NullOr(Schema.Struct({ provider: Schema.String, model: Schema.String })),
  agents: Schema.Array(AgentConfig),
  /** Names of environment variables that workers may see, besides the basic ones. */
  env: Schema.Array(Schema.String),
  watch: Watch
})
export type NerveConfig = typeof NerveConfig.Type

/** The configuration that is in force, as a service. */
export class CurrentConfig extends Context.Service<CurrentConfig, NerveConfig>()(
  "@nerve/core/config/NerveConfig/CurrentConfig"
) {}

export const defaults = {
  timeoutMs: 30_000,
  gracePeriodMs: 5_000,
  catchUp: "once",
  concurrency: 1,
  overflow: "drop",
  maxQueue: 100,
  onChange: "finish-on-old",
  maxRounds: 20,
  archiveAfterMs: 30 * 86_400_000,
  apiHost: "127.0.0.1",
  watch: "auto"
} as const

/** No senses, no workflows. For tests and for building configs by spread. */
export const empty: NerveConfig = {
  senses: [],
  workflows: [],
  maxRounds: defaults.maxRounds,
  log: { archiveAfter: defaults.archiveAfterMs, keep: null },
  api: null,
  extract: null,
  agents: [],
  env: [],
  watch: defaults.watch
}
