/**
 * What is different between two configurations, as data: what a reload has to do, and what it tells.
 * Pure. `apply` makes the new configuration of the old one and the changes, but for the order in which
 * senses, workflows and agents are listed, which means nothing.
 */
import * as DurationText from "./DurationText.ts"
import type { NerveConfig } from "./NerveConfig.ts"

/** The parts of a configuration that are lists of named things. */
interface Named {
  readonly sense: NerveConfig["senses"][number]
  readonly workflow: NerveConfig["workflows"][number]
  readonly agent: NerveConfig["agents"][number]
}

export type Kind = keyof Named

/** All other keys. */
type SettingKey = Exclude<keyof NerveConfig, "senses" | "workflows" | "agents">

type AddedOf = { readonly [K in Kind]: { readonly _tag: "Added"; readonly kind: K; readonly value: Named[K] } }[Kind]

/** `to` is absent when the key is. A sense of another `group` moves there. */
export interface Changed {
  readonly _tag: "Changed"
  readonly kind: Kind
  readonly name: string
  readonly key: string
  readonly from: unknown
  readonly to: unknown
}

export type Change =
  | AddedOf
  | { readonly _tag: "Removed"; readonly kind: Kind; readonly name: string }
  | Changed
  /** A key of the whole: `maxRounds`, `api`, `extract`, … */
  | { readonly _tag: "Set"; readonly key: SettingKey; readonly from: unknown; readonly to: unknown }

const lists = { sense: "senses", workflow: "workflows", agent: "agents" } as const satisfies Record<
  Kind,
  keyof NerveConfig
>

// --- what is different

/** The changes from one configuration to another; none when they mean the same. */
export const diff = (from: NerveConfig, to: NerveConfig): ReadonlyArray<Change> => [
  ...diffOf("sense", from, to),
  ...diffOf("workflow", from, to),
  ...diffOf("agent", from, to),
  ...settingKeys(from, to).flatMap((key): ReadonlyArray<Change> =>
    equal(from[key], to[key]) ? [] : [{ _tag: "Set", key, from: from[key], to: to[key] }]
  )
]

const diffOf = <K extends Kind>(kind: K, from: NerveConfig, to: NerveConfig): ReadonlyArray<Change> => {
  const old = byName(kind, from)
  const now = byName(kind, to)
  const removed = [...old.keys()].filter((name) => !now.has(name))
  return [
    ...removed.map((name): Change => ({ _tag: "Removed", kind, name })),
    ...[...now].flatMap(([name, value]): ReadonlyArray<Change> => {
      const before = old.get(name)
      return before === undefined ? [added(kind, value)] : changed(kind, name, before, value)
    })
  ]
}

// `kind` and `value` come from the same list, which a union's member cannot be told of otherwise.
const added = <K extends Kind>(kind: K, value: Named[K]): Change => ({ _tag: "Added", kind, value }) as AddedOf

const changed = (kind: Kind, name: string, from: object, to: object): ReadonlyArray<Change> =>
  [...new Set([...Object.keys(from), ...Object.keys(to)])].flatMap((key) => {
    const [before, after] = [valueOf(from, key), valueOf(to, key)]
    return equal(before, after) ? [] : [{ _tag: "Changed", kind, name, key, from: before, to: after }]
  })

const byName = <K extends Kind>(kind: K, config: NerveConfig): ReadonlyMap<string, Named[K]> => {
  const values: ReadonlyArray<Named[Kind]> = config[lists[kind]]
  return new Map(values.map((value) => [value.name, value as Named[K]]))
}

const isSettingKey = (key: string): key is SettingKey => !Object.values<string>(lists).includes(key)

const settingKeys = (from: NerveConfig, to: NerveConfig): ReadonlyArray<SettingKey> =>
  [...new Set([...Object.keys(from), ...Object.keys(to)])].filter(isSettingKey)

const valueOf = (object: object, key: string): unknown =>
  Object.hasOwn(object, key) ? Reflect.get(object, key) : undefined

/** Of JSON values, by what is in them. */
const equal = (a: unknown, b: unknown): boolean => {
  if (a === b) return true
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((item, i) => equal(item, b[i]))
  }
  const keys = Object.keys(a)
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && equal(valueOf(a, key), valueOf(b, key)))
  )
}

// --- and back

/** The configuration after the changes. What was there stays in its place, what is new comes last. */
export const apply = (config: NerveConfig, changes: ReadonlyArray<Change>): NerveConfig =>
  changes.reduce<NerveConfig>(applyOne, config)

// A change holds what was read from a configuration, under the key that it was read from.
const applyOne = (config: NerveConfig, change: Change): NerveConfig => {
  if (change._tag === "Set") return withValue(config, change.key, change.to) as NerveConfig
  const list = lists[change.kind]
  const values: ReadonlyArray<Named[Kind]> = config[list]
  switch (change._tag) {
    case "Added":
      return { ...config, [list]: [...values, change.value] }
    case "Removed":
      return { ...config, [list]: values.filter(({ name }) => name !== change.name) }
    case "Changed":
      return {
        ...config,
        [list]: values.map((value) => (value.name === change.name ? withValue(value, change.key, change.to) : value))
      }
  }
}

const withValue = (object: object, key: string, value: unknown): object => {
  const { [key]: _old, ...rest } = { ...object } as Record<string, unknown>
  return value === undefined ? rest : { ...rest, [key]: value }
}

// --- what follows

/** Keys of nerve.yaml that the daemon reads only when it starts. */
const atStart: ReadonlySet<string> = new Set<SettingKey>(["api", "env", "log"])

/** Keys that differ and that only a restart of the daemon puts in force. */
export const needRestart = (changes: ReadonlyArray<Change>): ReadonlyArray<string> =>
  changes.flatMap((change) => (change._tag === "Set" && atStart.has(change.key) ? [nameOf(change.key)] : []))

/**
 * Workflows whose worker has to be replaced, for it was told what has changed: all, when `agents` or
 * `extract` did. Their own limits are no business of the worker's.
 */
export const staleWorkflows = (changes: ReadonlyArray<Change>, to: NerveConfig): ReadonlyArray<string> =>
  changes.some((change) => (change._tag === "Set" ? change.key === "extract" : change.kind === "agent"))
    ? to.workflows.map(({ name }) => name)
    : []

/** Workflows of which something has changed, and that exist: one that was given up gets another chance (M14). */
export const touchedWorkflows = (changes: ReadonlyArray<Change>, to: NerveConfig): ReadonlyArray<string> => {
  const own = changes.flatMap((change) =>
    change._tag === "Changed" && change.kind === "workflow" ? [change.name] : []
  )
  return [...new Set([...own, ...staleWorkflows(changes, to)])]
}

// --- in words

const durations: ReadonlySet<string> = new Set(["intervalMs", "throttleMs", "timeoutMs", "gracePeriodMs"])

/** What authors may keep to themselves: it is said that they changed, not to what. */
const silent: ReadonlySet<string> = new Set(["params", "api"])

/** A change as a few words: `sense cpu: interval 5s -> 1s`. No secrets. */
export const describe = (change: Change): string => {
  switch (change._tag) {
    case "Added":
      return `${change.kind} ${change.value.name} added`
    case "Removed":
      return `${change.kind} ${change.name} removed`
    case "Changed":
      return change.kind === "sense" && change.key === "group"
        ? `sense ${change.name} moved from group ${shown(change.from)} to ${shown(change.to)}`
        : `${change.kind} ${change.name}: ${fromTo(change)}`
    case "Set":
      return fromTo(change)
  }
}

const fromTo = ({ from, key, to }: Pick<Changed, "key" | "from" | "to">): string =>
  silent.has(key)
    ? `${nameOf(key)} changed`
    : `${nameOf(key)} ${shown(from, durations.has(key))} -> ${shown(to, durations.has(key))}`

/** The key as it is written in nerve.yaml. */
const nameOf = (key: string): string => key.replace(/Ms$/, "").replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

const maxShown = 60

const shown = (value: unknown, isDuration = false): string => {
  if (value === null || value === undefined) return "none"
  if (isDuration && typeof value === "number") return DurationText.format(value)
  const text = typeof value === "string" ? value : JSON.stringify(value)
  return text.length > maxShown ? `${text.slice(0, maxShown)}…` : text
}
