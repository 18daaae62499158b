/**
 * The keys of `nerve.yaml`: one table that says for each its kind, its default and what it means. The
 * parser reads by it, takes the names for its suggestions from it, and `docs/config.md` is tested
 * against it. What concerns several parts of a file at once (names that must exist, cycles) is not
 * here but in `ConfigParser`; how a kind of value is read, in `internal`.
 */
import type * as Schema from "effect/Schema"
import { GroupName, SenseName, WorkflowName } from "../domain/Ids.ts"
import { quote } from "./ConfigProblem.ts"
import * as CronText from "./CronText.ts"
import * as DurationText from "./DurationText.ts"
import { anything } from "./internal/anything.ts"
import type { Kind } from "./internal/kind.ts"
import { list } from "./internal/list.ts"
import { mapping, named, optional, required } from "./internal/mapping.ts"
import { name, reference } from "./internal/names.ts"
import { choice, decimal, duration, integer, parsed, text, variable } from "./internal/scalars.ts"
import { defaults } from "./NerveConfig.ts"

/** Far beyond any sensible use, and still exact in every calculation with times. */
const longest = "365d"

const word = "text without spaces"
const wordPattern = /^[^\s\p{C}]{1,200}$/u

/** One entry of `senses`. */
export const sense = mapping(
  {
    group: optional(
      name(GroupName, "group"),
      null,
      "the sense's own name",
      "Senses of one group share a worker process."
    ),
    interval: optional(duration("100ms", longest), null, "none", "Time from one compute to the next."),
    cron: optional(
      parsed("cron expression", CronText.expected, (text) => CronText.parse(text, null)),
      null,
      "none",
      "Times of day and days at which it computes, instead of `interval`."
    ),
    time_zone: optional(
      parsed("time zone", CronText.zoneExpected, CronText.parseZone),
      null,
      "the machine's own",
      "Where the times of `cron` are read."
    ),
    catch_up: optional(
      choice("once", "skip", "all"),
      defaults.catchUp,
      `\`${defaults.catchUp}\``,
      "What becomes of ticks that could not start when they were due."
    ),
    on: optional(list("sense names", reference), [], "none", "Senses whose signals start a compute of this one."),
    throttle: optional(
      duration("1ms", longest),
      null,
      "none",
      "Least time between the starts of two computes; the triggers in between become one."
    ),
    timeout: optional(
      duration("1ms", longest),
      defaults.timeoutMs,
      DurationText.format(defaults.timeoutMs),
      "How long a compute may take; then its abort signal fires and an error is logged."
    ),
    grace_period: optional(
      duration("0s", longest),
      defaults.gracePeriodMs,
      DurationText.format(defaults.gracePeriodMs),
      "How much longer, before the worker is killed and the group starts anew."
    ),
    params: optional(anything, null, "none", "What the sense's code is told; its own Schema of `params` checks it.")
  },
  ({ cron, interval, time_zone }, path, report) => {
    if (typeof cron === "string" && typeof interval === "number") {
      report({
        path: [...path, "cron"],
        at: "key",
        message: "there is an interval already",
        expected: "either interval or cron"
      })
    }
    if (cron === null && typeof time_zone === "string") {
      report({
        path: [...path, "time_zone"],
        at: "key",
        message: "there is no cron to read in a time zone",
        expected: "cron beside it, or no time_zone"
      })
    }
  }
)

/** One entry of `workflows`. */
export const workflow = mapping(
  {
    concurrency: optional(
      integer(1, 1_000),
      defaults.concurrency,
      String(defaults.concurrency),
      "Threads that may be active at a time."
    ),
    overflow: optional(
      choice("drop", "queue"),
      defaults.overflow,
      `\`${defaults.overflow}\``,
      "What becomes of a thread beyond that: it is dropped, or it waits."
    ),
    max_queue: optional(
      integer(1, 100_000),
      null,
      `${defaults.maxQueue} with \`overflow: queue\``,
      "Threads that may wait; when there are more, the oldest is dropped."
    ),
    on_change: optional(
      choice("finish-on-old", "resume-on-new-code", "interrupt"),
      defaults.onChange,
      `\`${defaults.onChange}\``,
      "What becomes of its threads when its code changes."
    ),
    token_budget: optional(
      integer(1, 1_000_000_000_000),
      null,
      "none",
      "Tokens of models, in and out, after which a thread pauses."
    ),
    cost_budget: optional(decimal(0.0001, 1_000_000), null, "none", "US dollars after which a thread pauses.")
  },
  ({ max_queue, overflow }, path, report) => {
    if (overflow !== "drop" || max_queue === null || max_queue === undefined) return
    report({
      path: [...path, "max_queue"],
      at: "key",
      message: "nothing is queued with overflow: drop",
      expected: "no max_queue, or overflow: queue",
      suggestion: "overflow: queue"
    })
  }
)

/** `api`. */
export const api = mapping(
  {
    port: required(integer(0, 65_535), "TCP port; 0 takes any free one."),
    host: optional(
      text(
        "a host name or an IP address, without port",
        /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45}|\[[0-9A-Fa-f:.]{2,45}\])$/
      ),
      defaults.apiHost,
      `\`${defaults.apiHost}\``,
      "Address to listen on. Anything but this machine itself needs a token."
    ),
    token: optional(
      text("a token: visible ASCII characters without spaces", /^[!-~]{1,4096}$/),
      null,
      "none",
      "Bearer token that callers must send."
    )
  },
  ({ host, token }, path, report) => {
    if (host === undefined || token !== null || isLoopback(host)) return
    report({
      path: [...path, "host"],
      at: "value",
      message: `${quote(host)} can be reached from other machines, and there is no token`,
      expected: "a token beside it, or a loopback host such as 127.0.0.1"
    })
  }
)

/** `localhost`, `::1`, and 127.0.0.0/8 in the usual notation; what is unsure is not one. */
export const isLoopback = (host: string): boolean =>
  /^(?:localhost|::1|\[::1\]|127(?:\.(?:0|[1-9]\d?|1\d\d|2[0-4]\d|25[0-5])){3})$/i.test(host)

/** `extract`. */
export const extract = mapping({
  provider: required(text(word, wordPattern), "Who reads meta out of a role's answer."),
  model: required(text(word, wordPattern), "The model that does it.")
})

/** The rules for names, without a brand: agents are told apart by no one but their users. */
const AgentName: Schema.Codec<string, string> = WorkflowName

/** One entry of `agents`. */
export const agent = mapping({
  type: required(choice("openai", "command", "cursor-agent", "hermes", "scripted"), "Which adapter it uses."),
  model: optional(text(word, wordPattern), null, "the adapter's own", "Model that the adapter asks for."),
  timeout: optional(duration("1ms", longest), null, "the adapter's own", "How long an answer may take.")
})

/** One entry of the older `reflexes`; the parser merges it into its sense. */
export const reflex = mapping({
  kind: optional(choice("sense"), "sense", "`sense`", "What is started."),
  sense: required(reference, "The sense that is started."),
  interval: optional(duration("100ms", longest), null, "none", "As `interval` of the sense."),
  on: optional(list("sense names", reference), [], "none", "As `on` of the sense, added to it.")
})

/** Reflexes could also start workflows: one problem that says how this is done now, instead of three. */
const reflexItem: Kind<NonNullable<ReturnType<typeof reflex.read>>> = {
  type: "reflex",
  expected: reflex.expected,
  read: (node, path, report) => {
    const kind = node._tag === "Mapping" ? node.entries.get("kind")?.value : undefined
    if (kind?._tag !== "Scalar" || kind.text !== "workflow") return reflex.read(node, path, report)
    report({
      path: [...path, "kind"],
      at: "value",
      message: "workflows are not started by reflexes any more",
      expected: "the sense to launch it: Sense.signal(value, { launch })"
    })
    return undefined
  }
}

/** What becomes of old entries. */
export const log = mapping({
  archive_after: optional(
    duration("1d", "3650d"),
    defaults.archiveAfterMs,
    "`30d`",
    "Whole days (UTC) older than this go from the database into a file each."
  ),
  keep: optional(
    duration("1d", "36500d"),
    null,
    "for ever",
    "Archived days, and threads that have ended, are removed when older than this."
  )
})

/** The whole file. */
export const root = mapping({
  senses: optional(named("sense", SenseName, sense), [], "none", "What is observed, by name."),
  workflows: optional(named("workflow", WorkflowName, workflow), [], "none", "What can be launched, by name."),
  max_rounds: optional(
    integer(1, 10_000),
    defaults.maxRounds,
    String(defaults.maxRounds),
    "Rounds after which a thread ends (exit code 2), unless its launch says otherwise."
  ),
  log: optional(
    log,
    { archive_after: defaults.archiveAfterMs, keep: null },
    "as below",
    "What of the log is archived, and how long it is kept."
  ),
  api: optional(api, null, "no API", "The HTTP API."),
  extract: optional(extract, null, "none", "How meta is extracted from answers in plain words."),
  agents: optional(named("agent", AgentName, agent), [], "none", "Settings of agents, by name."),
  env: optional(
    list("variable names", variable),
    [],
    "none",
    "Environment variables that workers may see, besides the basic ones."
  ),
  watch: optional(
    choice("auto", "poll", "never"),
    defaults.watch,
    `\`${defaults.watch}\``,
    "How changes of this file and of code are noticed: as the system reports them, by polling, or not at all."
  ),
  reflexes: optional(list("reflexes", reflexItem), [], "none", "Older spelling of `interval` and `on`.")
})

/** What `root` reads. */
export type Root = NonNullable<ReturnType<typeof root.read>>
