/**
 * The keys of `nerve.yaml`: one table that says for each its kind, its default and what it means. The
 * parser reads by it, takes the names for its suggestions from it, and `docs/config.md` is tested
 * against it. What concerns several parts of a file at once (names that must exist, cycles) is not
 * here but in `ConfigParser`.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { GroupName, SenseName, WorkflowName } from "../domain/Ids.ts"
import { type KeyPath, quote } from "./ConfigProblem.ts"
import * as CronText from "./CronText.ts"
import * as DurationText from "./DurationText.ts"
import { isBlank, isNull, type MappingNode, type ScalarNode, type Tree } from "./internal/yamlTree.ts"
import { defaults } from "./NerveConfig.ts"
import * as Suggest from "./Suggest.ts"

/** A problem as a kind or a check reports it: the parser adds line and column. */
export interface Complaint {
  readonly path: KeyPath
  /** Whether the key is at fault, or its value. */
  readonly at: "key" | "value"
  readonly message: string
  readonly expected: string
  readonly suggestion?: string | null
  /** Something is missing; see `Finding`. */
  readonly isAbsence?: boolean
}
export type Report = (complaint: Complaint) => void

/** How a value is read. `undefined` stands for one that was refused, and reported. */
export interface Kind<A> {
  /** For the documentation: `duration`, `whole number`. */
  readonly type: string
  /** For messages: `a whole number from 1 to 1000`. */
  readonly expected: string
  readonly read: (node: Tree, path: KeyPath, report: Report) => A | undefined
}

/** One key of a mapping. `fallback` is what no value stands for; without it there must be one. */
export interface Key<A> {
  readonly kind: Kind<A>
  readonly fallback?: { readonly value: A }
  /** The default in words, for the documentation. */
  readonly default: string
  readonly meaning: string
}

type Keys = Readonly<Record<string, Key<unknown>>>
type ValueOf<K extends Keys> = { readonly [Name in keyof K]: K[Name] extends Key<infer A> ? A : never }

/** A mapping of known keys; `keys` is what the documentation shows. */
export interface MappingKind<A> extends Kind<A> {
  readonly keys: Keys
}

// --- Scalars ---

const describe = (node: Tree): string => {
  switch (node._tag) {
    case "Mapping":
      return "a mapping"
    case "List":
      return "a list"
    case "Scalar":
      if (node.kind === "null") return "no value"
      return node.kind === "text" || node.text.length > 60 ? quote(node.text) : node.text
    case "Refused":
      return "a refused value"
  }
}

/** Reports a value that is of another kind altogether. */
const mismatch = (node: Tree, path: KeyPath, report: Report, expected: string, suggestion: string | null = null) => {
  if (node._tag !== "Refused") report({ path, at: "value", message: `found ${describe(node)}`, expected, suggestion })
  return undefined
}

const duration = (least: string, most: string): Kind<number> => {
  const expected = `${DurationText.expected}, from ${least} to ${most}`
  return {
    type: "duration",
    expected,
    read: (node, path, report) => {
      if (node._tag !== "Scalar" || isNull(node)) return mismatch(node, path, report, expected)
      const complain = (message: string, suggestion: string | null = null) =>
        report({ path, at: "value", message: `${describe(node)} ${message}`, expected, suggestion })
      const parsed = DurationText.parse(node.text)
      if (Result.isFailure(parsed)) complain(parsed.failure.reason, parsed.failure.suggestion)
      else if (parsed.success < millisecondsOf(least)) complain("is too short")
      else if (parsed.success > millisecondsOf(most)) complain("is too long")
      else return parsed.success
      return undefined
    }
  }
}

/** A text that a function reads: it says why not, and what was probably meant. */
const parsed = (
  type: string,
  expected: string,
  parse: (text: string) => Result.Result<unknown, { readonly reason: string; readonly suggestion: string | null }>
): Kind<string> => ({
  type,
  expected,
  read: (node, path, report) => {
    if (node._tag !== "Scalar" || isNull(node)) return mismatch(node, path, report, expected)
    const result = parse(node.text)
    if (Result.isSuccess(result)) return node.text
    const { reason, suggestion } = result.failure
    report({ path, at: "value", message: `${describe(node)} ${reason}`, expected, suggestion })
    return undefined
  }
})

const millisecondsOf = (text: string): number => Result.getOrThrow(DurationText.parse(text))

const integer = (least: number, most: number): Kind<number> => {
  const expected = `a whole number from ${least} to ${most}`
  return {
    type: "whole number",
    expected,
    read: (node, path, report) => {
      if (node._tag !== "Scalar" || node.kind !== "number") {
        const isQuoted = node._tag === "Scalar" && /^\d{1,15}$/.test(node.text)
        return mismatch(node, path, report, isQuoted ? `${expected}, without quotes` : expected)
      }
      const isWithin = Number.isInteger(node.number) && node.number >= least && node.number <= most
      return isWithin ? node.number : mismatch(node, path, report, expected)
    }
  }
}

const decimal = (least: number, most: number): Kind<number> => {
  const expected = `a number from ${least} to ${most}`
  return {
    type: "number",
    expected,
    read: (node, path, report) =>
      node._tag === "Scalar" && node.kind === "number" && node.number >= least && node.number <= most
        ? node.number
        : mismatch(node, path, report, expected)
  }
}

const choice = <const Values extends ReadonlyArray<string>>(...values: Values): Kind<Values[number]> => {
  const expected = oneOf(values)
  return {
    type: values.map((value) => `\`${value}\``).join(", "),
    expected,
    read: (node, path, report) => {
      if (node._tag !== "Scalar" || isNull(node)) return mismatch(node, path, report, expected)
      const found: Values[number] | undefined = values.find((value) => value === node.text)
      return found ?? mismatch(node, path, report, expected, Suggest.nearest(node.text, values))
    }
  }
}

const oneOf = (names: ReadonlyArray<string>): string =>
  names.length === 1 ? names.join() : `${names.slice(0, -1).join(", ")} or ${names.slice(-1).join()}`

/**
 * A text by a pattern. A number is taken as it is written (`0123` stays `0123`), for what is expected
 * is text anyway; `true` and `false` are refused, for they are more likely meant as an answer.
 */
const text = (expected: string, pattern: RegExp): Kind<string> => ({
  type: "text",
  expected,
  read: (node, path, report) => {
    if (node._tag !== "Scalar" || isNull(node)) return mismatch(node, path, report, expected)
    if (node.kind === "boolean") return mismatch(node, path, report, `${expected}; in quotes if this is one`)
    return pattern.test(node.text) ? node.text : mismatch(node, path, report, expected)
  }
})

const nameExpected = (noun: string) =>
  `a ${noun} name: letters, digits, "-", "_" and ".", at most 64, a letter or digit first`

/** A name by a schema of `domain/Ids`, exactly as written: `true` and `1e3` are names too. */
const name = <A extends string>(schema: Schema.Codec<A, string>, noun: string): Kind<A> => {
  const is = Schema.is(schema)
  const expected = nameExpected(noun)
  return {
    type: `${noun} name`,
    expected,
    read: (node, path, report) => {
      if (node._tag !== "Scalar" || isBlank(node)) return mismatch(node, path, report, expected)
      return is(node.text) ? node.text : mismatch(node, path, report, expected, nearestName(node.text))
    }
  }
}

/** A sense's name together with its place, for it must be looked up in the whole file. */
export interface Reference {
  readonly sense: SenseName
  readonly path: KeyPath
}

const reference: Kind<Reference> = {
  ...name(SenseName, "sense"),
  read: (node, path, report) => {
    const sense = name(SenseName, "sense").read(node, path, report)
    return sense === undefined ? undefined : { sense, path }
  }
}

/** A valid name that is like the given one: other characters become dashes. */
const nearestName = (value: string): string | null => {
  const mended = value
    .trim()
    .slice(0, 64)
    .replace(/[^A-Za-z0-9._-]+/g, "-")
    .replace(/^[._-]+|[._-]+$/g, "")
  return mended === "" || mended === value ? null : mended
}

/** An environment variable by its name; `$NAME` and `NAME=value` are usual slips. */
const variable: Kind<string> = {
  type: "variable name",
  expected: "the name of an environment variable, such as OPENAI_API_KEY",
  read: (node, path, report) => {
    const { expected } = variable
    if (node._tag !== "Scalar" || isBlank(node)) return mismatch(node, path, report, expected)
    if (/^[A-Za-z_][A-Za-z0-9_]{0,254}$/.test(node.text)) return node.text
    const [, inner = null] = /^\$?\{?([A-Za-z_][A-Za-z0-9_]{0,63})\}?(?:=.*)?$/.exec(node.text) ?? []
    return mismatch(node, path, report, expected, inner)
  }
}

// --- Collections ---

/** A list in which no text may be there twice. Items that are refused are left out of it. */
const list = <A>(noun: string, item: Kind<A>): Kind<ReadonlyArray<A>> => {
  const type = `list of ${noun}`
  const expected = `a ${type}`
  return {
    type,
    expected,
    read: (node, path, report) => {
      if (node._tag !== "List") {
        const isShort = node._tag === "Scalar" && node.text.length < 60
        return mismatch(node, path, report, expected, isShort ? `[${node.text}]` : null)
      }
      const texts = new Set<string>()
      return node.items.flatMap((child, index) => {
        const at = [...path, index]
        const value = item.read(child, at, report)
        if (value === undefined) return []
        if (child._tag !== "Scalar") return [value]
        if (!texts.has(child.text)) {
          texts.add(child.text)
          return [value]
        }
        report({ path: at, at: "value", message: `${describe(child)} is there twice`, expected: "each once" })
        return []
      })
    }
  }
}

/**
 * A mapping of known keys. No value at all stands for a mapping without keys. A key that may be left
 * out and was refused reads as if it were left out, so that later checks still see the rest; `check`
 * sees what was read, without what was refused.
 */
const mapping = <const K extends Keys>(
  keys: K,
  check?: (value: Partial<ValueOf<K>>, path: KeyPath, report: Report) => void
): MappingKind<ValueOf<K>> => ({
  type: "mapping",
  expected: `a mapping with ${oneOf(Object.keys(keys))}`,
  keys,
  read: (node, path, report) => {
    const names = Object.keys(keys)
    if (node._tag !== "Mapping" && !isNull(node)) return mismatch(node, path, report, `a mapping with ${oneOf(names)}`)
    const entries: MappingNode["entries"] = node._tag === "Mapping" ? node.entries : new Map()
    for (const found of entries.keys()) if (!Object.hasOwn(keys, found)) unknownKey(found, names, path, report)

    const values: Record<string, unknown> = {}
    const sound: Record<string, unknown> = {}
    let complete = true
    for (const [key, { fallback, kind }] of Object.entries(keys)) {
      const entry = entries.get(key)
      const isAbsent = entry === undefined || (fallback !== undefined && isNull(entry.value))
      const value = isAbsent ? fallback?.value : kind.read(entry.value, [...path, key], report)
      if (value !== undefined) sound[key] = value
      if (entry === undefined && fallback === undefined) {
        const { expected } = kind
        report({ path: [...path, key], at: "key", message: "missing key", expected, isAbsence: true })
      }
      values[key] = value === undefined ? fallback?.value : value
      complete &&= values[key] !== undefined
    }
    // The loop has filled each key with what its own kind read: a type that follows a table's keys
    // cannot be built up without saying so.
    check?.(sound as Partial<ValueOf<K>>, path, report)
    return complete ? (values as ValueOf<K>) : undefined
  }
})

const unknownKey = (found: string, names: ReadonlyArray<string>, path: KeyPath, report: Report) =>
  report({
    path: [...path, found],
    at: "key",
    message: "unknown key",
    expected: oneOf(names),
    // `gracePeriod` and `grace-period` are habits from elsewhere.
    suggestion: Suggest.nearest(found.replace(/([a-z])([A-Z])/g, "$1_$2").replaceAll("-", "_"), names)
  })

/** A mapping from names that the author chooses. */
const named = <Name extends string, A extends object>(
  noun: string,
  nameSchema: Schema.Codec<Name, string>,
  kind: MappingKind<A>
): MappingKind<ReadonlyArray<A & { readonly name: Name }>> => {
  const is = Schema.is(nameSchema)
  const expected = `a mapping: a ${noun} name, a colon, and its settings beneath`
  return {
    type: `mapping by ${noun} name`,
    expected,
    keys: kind.keys,
    read: (node, path, report) => {
      if (node._tag !== "Mapping") return mismatch(node, path, report, expected)
      const values: Array<A & { readonly name: Name }> = []
      const byCase = new Map<string, string>()
      for (const [key, entry] of node.entries) {
        const at = [...path, key]
        const complain = (message: string, expected: string, suggestion: string | null = null) =>
          report({ path: at, at: "key", message, expected, suggestion })
        const twin = byCase.get(key.toLowerCase())
        // Names become file names, and not every file system tells `CPU` from `cpu`.
        if (twin !== undefined) complain(`only its case tells it from ${quote(twin)}`, "another name")
        byCase.set(key.toLowerCase(), key)
        const value = kind.read(entry.value, at, report)
        if (!is(key)) complain(`${quote(key)} cannot be a name`, nameExpected(noun), nearestName(key))
        else if (value !== undefined) values.push({ ...value, name: key })
      }
      return values
    }
  }
}

const required = <A>(kind: Kind<A>, meaning: string): Key<A> => ({ kind, default: "required", meaning })

const optional = <A, const B>(kind: Kind<A>, value: B, inWords: string, meaning: string): Key<A | B> => ({
  kind,
  fallback: { value },
  default: inWords,
  meaning
})

/**
 * A mapping of any values, for somebody else to check. What looks like a number, a truth value or nothing is
 * one, as everywhere in YAML; `"0123"` in quotes stays a text.
 */
const anything: Kind<Schema.Json> = {
  type: "mapping",
  expected: "a mapping of any values",
  read: (node, path, report) =>
    node._tag === "Mapping" ? toJson(node) : mismatch(node, path, report, anything.expected)
}

const toJson = (node: Tree): Schema.Json => {
  switch (node._tag) {
    case "Mapping":
      return Object.fromEntries(Array.from(node.entries, ([key, { value }]) => [key, toJson(value)]))
    case "List":
      return node.items.map(toJson)
    case "Refused":
      return null
    case "Scalar":
      return scalarToJson(node)
  }
}

const scalarToJson = ({ kind, number, text }: ScalarNode): Schema.Json => {
  switch (kind) {
    case "null":
      return null
    case "boolean":
      return text.toLowerCase() === "true"
    case "number":
      return Number.isFinite(number) ? number : text
    case "text":
      return text
  }
}

// --- The table ---

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
