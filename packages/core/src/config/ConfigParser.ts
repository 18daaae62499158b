/**
 * From the text of `nerve.yaml` to a `NerveConfig`, or to all problems at once, each with its place, its
 * key, what was expected and what was probably meant (C1, C2, S9, S10). Pure.
 *
 * `internal/yamlTree` reads the YAML, `ConfigSchema` says which keys there are; this module adds what
 * concerns several places of the file: names that must exist, cycles, and reflexes.
 *
 * Decisions:
 * - A file without content is a problem that shows a minimal file: somebody who starts nerve with it
 *   would watch nothing happen. `{}` is a deliberate, empty configuration.
 * - A sense without `interval` and `on` is fine: it is started by hand (`nerve sense trigger`).
 * - Reflexes are read as a list of `{kind: sense, sense: NAME, interval: 10s, on: [NAME]}`, `kind` being
 *   optional. Each is merged into its sense: `on` is added; `interval` must be the only one, or equal.
 * - Names are taken as written: a sense may be called `true` or `1e3`. Likewise a token may be `0123`.
 */
import * as Result from "effect/Result"
import { GroupName, type SenseName } from "../domain/Ids.ts"
import { ConfigInvalid, type ConfigProblem, formatPath, maxProblems, quote } from "./ConfigProblem.ts"
import { root, type Root } from "./ConfigSchema.ts"
import * as DurationText from "./DurationText.ts"
import type { Complaint, Report } from "./internal/kind.ts"
import type { Reference } from "./internal/names.ts"
import { type Finding, isBlank, isNull, read, type Tree } from "./internal/yamlTree.ts"
import { defaults, type NerveConfig, type SenseConfig } from "./NerveConfig.ts"
import * as Suggest from "./Suggest.ts"

/** What the file is called when the caller does not say. */
export const defaultFile = "nerve.yaml"

/**
 * Reads a configuration. `file` is only a name for messages. Use `ConfigProblem.format` to show what a
 * `ConfigInvalid` holds.
 */
export const parse = (
  text: string,
  options: { readonly file?: string } = {}
): Result.Result<NerveConfig, ConfigInvalid> => {
  // Editors do not count the byte order mark as a column.
  const source = text.replace(/^\uFEFF/, "")
  const findings = makeFindings()
  const tree = read(source, findings.add)
  const config = tree === null ? undefined : decode(tree, findings)
  return config !== undefined && findings.isEmpty()
    ? Result.succeed(config)
    : Result.fail(new ConfigInvalid({ file: options.file ?? defaultFile, ...findings.toProblems(source) }))
}

const decode = (tree: Tree, findings: Findings): NerveConfig | undefined => {
  if (isNull(tree)) {
    if (findings.isEmpty()) findings.add(emptyFile)
    return undefined
  }
  const report: Report = (complaint) => findings.add(located(tree, complaint))
  const value = root.read(tree, [], report)
  if (value === undefined) return undefined
  const senses = mergeReflexes(value, namesOf(tree), findings.isFull, report)
  checkCycles(senses, findings.isFull, report)
  return assemble(value, senses)
}

const emptyFile: Finding = {
  offset: 0,
  path: [],
  message: "the file is empty",
  expected:
    "at least one sense or workflow. The smallest configuration that does something:\n\n" +
    "  senses:\n    cpu-usage:\n      interval: 10s",
  suggestion: null
}

// --- Names, reflexes, cycles ---

type SenseValue = Root["senses"][number]

interface LinkedSense {
  readonly value: SenseValue
  readonly intervalMs: number | null
  /** Senses whose signals start it, by name, with the place that says so first. */
  readonly triggers: ReadonlyMap<SenseName, Reference>
}

/** All names that the file defines, also of senses whose settings were refused. */
const namesOf = (tree: Tree): ReadonlySet<string> => {
  const senses = tree._tag === "Mapping" ? tree.entries.get("senses")?.value : undefined
  return new Set(senses?._tag === "Mapping" ? senses.entries.keys() : [])
}

/** Joins `interval` and `on` of senses and reflexes, and checks that the names in them exist. */
const mergeReflexes = (
  { reflexes, senses }: Root,
  known: ReadonlySet<string>,
  isFull: () => boolean,
  report: Report
): ReadonlyMap<string, LinkedSense> => {
  const exists = ({ path, sense }: Reference): boolean => {
    if (known.has(sense)) return true
    report({
      path,
      at: "value",
      message: `there is no sense ${quote(sense)}`,
      expected: known.size === 0 ? "a sense of this file, and it has none" : "the name of a sense of this file",
      // There may be thousands of names: look only if it will be shown.
      suggestion: isFull() ? null : Suggest.nearest(sense, known),
      isAbsence: true
    })
    return false
  }

  const linked = new Map<string, LinkedSense>()
  const triggersOf = new Map<string, Map<SenseName, Reference>>()
  const addTriggers = (sense: SenseName, on: ReadonlyArray<Reference>) => {
    const triggers = triggersOf.get(sense) ?? new Map<SenseName, Reference>()
    triggersOf.set(sense, triggers)
    for (const trigger of on) {
      if (exists(trigger) && !triggers.has(trigger.sense)) triggers.set(trigger.sense, trigger)
    }
    return triggers
  }

  for (const value of senses) {
    linked.set(value.name, { value, intervalMs: value.interval, triggers: addTriggers(value.name, value.on) })
  }
  for (const { interval, on, sense } of reflexes) {
    addTriggers(sense.sense, on)
    const target = exists(sense) ? linked.get(sense.sense) : undefined
    if (target === undefined || interval === null || interval === target.intervalMs) continue
    if (target.value.cron !== null) {
      report({
        path: [...sense.path.slice(0, -1), "interval"],
        at: "value",
        message: `sense ${quote(sense.sense)} already has a cron expression`,
        expected: "either interval or cron"
      })
      continue
    }
    if (target.intervalMs === null) {
      linked.set(sense.sense, { ...target, intervalMs: interval })
      continue
    }
    report({
      path: [...sense.path.slice(0, -1), "interval"],
      at: "value",
      message: `sense ${quote(sense.sense)} already has the interval ${DurationText.format(target.intervalMs)}`,
      expected: "one interval for each sense"
    })
  }
  return linked
}

/**
 * Reports each cycle of `on` once, at the trigger that closes it. First all senses go that are on no
 * cycle (nothing left that they are started by, or that they start), then one cycle at a time.
 * Iterative: a chain of senses may be as long as the file.
 */
const checkCycles = (senses: ReadonlyMap<string, LinkedSense>, isFull: () => boolean, report: Report): void => {
  const incoming = new Map<string, Set<string>>()
  const outgoing = new Map<string, Set<string>>()
  for (const name of senses.keys()) {
    incoming.set(name, new Set())
    outgoing.set(name, new Set())
  }
  for (const [name, { triggers }] of senses) {
    for (const sense of triggers.keys()) {
      if (!senses.has(sense)) continue
      incoming.get(name)?.add(sense)
      outgoing.get(sense)?.add(name)
    }
  }
  const isLoose = (name: string) => incoming.get(name)?.size === 0 || outgoing.get(name)?.size === 0
  const remove = (names: ReadonlyArray<string>) => {
    const pending = [...names]
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      const neighbours = [...(incoming.get(name) ?? []), ...(outgoing.get(name) ?? [])]
      incoming.delete(name)
      outgoing.delete(name)
      for (const neighbour of neighbours) {
        incoming.get(neighbour)?.delete(name)
        outgoing.get(neighbour)?.delete(name)
        if (isLoose(neighbour)) pending.push(neighbour)
      }
    }
  }

  remove([...senses.keys()].filter(isLoose))
  for (const start of senses.keys()) {
    while (incoming.has(start) && !isFull()) {
      const cycle = walkBack(start, incoming)
      reportCycle(cycle, senses, report)
      remove(cycle)
    }
  }
}

/** From a sense to what starts it, and so on, until one comes again: the part between is a cycle. */
const walkBack = (start: string, incoming: ReadonlyMap<string, ReadonlySet<string>>): ReadonlyArray<string> => {
  const seen = new Map<string, number>()
  const path: Array<string> = []
  let current = start
  while (!seen.has(current)) {
    seen.set(current, path.length)
    path.push(current)
    const [next = current] = incoming.get(current) ?? []
    current = next
  }
  // In the direction in which the signals run.
  return [current, ...path.slice((seen.get(current) ?? 0) + 1).toReversed()]
}

const reportCycle = (cycle: ReadonlyArray<string>, senses: ReadonlyMap<string, LinkedSense>, report: Report): void => {
  const first = cycle[0] ?? ""
  const last = cycle.at(-1) ?? ""
  const triggers = senses.get(first)?.triggers.values() ?? []
  const closing = [...triggers].find(({ sense }) => sense === last)
  // A cycle of hundreds is named by its ends.
  const named = cycle.length <= 8 ? cycle : [...cycle.slice(0, 4), "...", ...cycle.slice(-3)]
  report({
    path: closing?.path ?? ["senses", first, "on"],
    at: "value",
    message:
      first === last
        ? `sense ${quote(first)} would trigger itself`
        : `these senses would trigger each other without end: ${[...named, first].join(" -> ")}`,
    expected: "no cycle"
  })
}

// --- The result ---

const assemble = (value: Root, senses: ReadonlyMap<string, LinkedSense>): NerveConfig => ({
  senses: Array.from(senses.values(), toSenseConfig),
  workflows: value.workflows.map(
    ({ concurrency, cost_budget, max_queue, name, on_change, overflow, token_budget }) => ({
      name,
      concurrency,
      overflow,
      maxQueue: max_queue ?? defaults.maxQueue,
      onChange: on_change,
      budget: token_budget === null && cost_budget === null ? null : { tokens: token_budget, costUsd: cost_budget }
    })
  ),
  maxRounds: value.max_rounds,
  log: { archiveAfter: value.log.archive_after, keep: value.log.keep },
  api: value.api,
  extract: value.extract,
  agents: value.agents.map(({ model, name, timeout, type }) => ({ name, type, model, timeoutMs: timeout })),
  env: value.env,
  watch: value.watch
})

const toSenseConfig = ({ intervalMs, triggers, value }: LinkedSense): SenseConfig => ({
  name: value.name,
  group: value.group ?? groupOf(value.name),
  intervalMs,
  cron: value.cron === null ? null : { expression: value.cron, timeZone: value.time_zone },
  catchUp: value.catch_up,
  throttleMs: value.throttle,
  timeoutMs: value.timeout,
  gracePeriodMs: value.grace_period,
  on: [...triggers.keys()],
  ...(value.params === null ? {} : { params: value.params })
})

/** A sense without a group has one of its own name: both follow the same rules. */
const groupOf = (name: SenseName): GroupName => GroupName.make(name)

// --- Problems ---

interface Findings {
  readonly add: (finding: Finding) => void
  readonly isEmpty: () => boolean
  /** No further finding would be shown. */
  readonly isFull: () => boolean
  readonly toProblems: (source: string) => {
    readonly problems: ReadonlyArray<ConfigProblem>
    readonly omitted: number
  }
}

const makeFindings = (): Findings => {
  const kept: Array<Finding> = []
  let total = 0
  return {
    add: (finding) => {
      total++
      if (kept.length < maxProblems) kept.push(finding)
    },
    isEmpty: () => total === 0,
    isFull: () => kept.length >= maxProblems,
    toProblems: (source) => ({ problems: toProblems(kept, source), omitted: total - kept.length })
  }
}

/**
 * The findings in the order of their places. Where the file is no YAML, two kinds are left out, for
 * they may be mere consequences: what is on the same line, and what is said to be missing anywhere.
 */
const toProblems = (findings: ReadonlyArray<Finding>, source: string): ReadonlyArray<ConfigProblem> => {
  const lineStarts = [0, ...Array.from(source.matchAll(/\n/g), ({ index }) => index + 1)]
  const lineOf = ({ offset }: Finding) => lineStarts.findLastIndex((start) => start <= offset) + 1
  const brokenLines = new Set(findings.filter(({ isSyntax }) => isSyntax).map(lineOf))
  const isConsequence = (finding: Finding) =>
    finding.isSyntax !== true &&
    brokenLines.size > 0 &&
    (finding.isAbsence === true || brokenLines.has(lineOf(finding)))
  return findings
    .filter((finding) => !isConsequence(finding))
    .sort((left, right) => left.offset - right.offset)
    .map((finding) => {
      const line = lineOf(finding)
      return {
        line,
        column: finding.offset - (lineStarts[line - 1] ?? 0) + 1,
        path: finding.path,
        key: formatPath(finding.path),
        message: finding.message,
        expected: finding.expected,
        suggestion: finding.suggestion
      }
    })
}

/** The complaint with the offset of its key or value; of the nearest key above when there is none. */
const located = (tree: Tree, { at, suggestion = null, ...complaint }: Complaint): Finding => {
  let node = tree
  let offset = tree.offset
  for (const [index, step] of complaint.path.entries()) {
    const child = childOf(node, step)
    if (child === undefined) break
    const wantsValue = at === "value" && index === complaint.path.length - 1
    offset =
      child.keyOffset === undefined || (wantsValue && !isBlank(child.value)) ? child.value.offset : child.keyOffset
    node = child.value
  }
  return { ...complaint, offset, suggestion }
}

const childOf = (
  node: Tree,
  step: string | number
): { readonly keyOffset?: number; readonly value: Tree } | undefined => {
  if (node._tag === "Mapping" && typeof step === "string") return node.entries.get(step)
  if (node._tag !== "List" || typeof step !== "number") return undefined
  const value = node.items[step]
  return value === undefined ? undefined : { value }
}
