/**
 * What a worker or a supervisor tree looks like at one moment, as a value (L7). JSON by its Schema,
 * diagrams by `Mermaid`.
 */
import * as Schema from "effect/Schema"
import { LifecycleExit, LifecycleState } from "./LifecycleState.ts"

/** What runs in a worker. */
export const WorkerKind = Schema.Literals(["process", "thread", "command", "container", "effect", "supervisor"])
export type WorkerKind = typeof WorkerKind.Type

/** Which siblings a crash takes along. */
export const Strategy = Schema.Literals(["one-for-one", "one-for-all", "rest-for-one"])
export type Strategy = typeof Strategy.Type

/** Whether an end is followed by a restart: `on-failure` is Failed and Killed. */
export const RestartMode = Schema.Literals(["always", "on-failure", "never"])
export type RestartMode = typeof RestartMode.Type

/**
 * What is to become of a child that is down: `none` nothing, `queued` its turn comes, `delayed` a backoff
 * runs, `held` the breaker is open or the supervisor suspended, `given-up` its policy has ended.
 */
export const Plan = Schema.Literals(["none", "queued", "delayed", "held", "given-up"])
export type Plan = typeof Plan.Type

/** One worker, and what it supervises. */
export interface StateTree {
  readonly id: string
  readonly kind: WorkerKind
  readonly state: LifecycleState
  /** When it got into this state, in milliseconds since 1970. */
  readonly since: number
  /** From 1; 0 before the first start. */
  readonly incarnation: number
  /** Crashes since it was added or reset. */
  readonly crashes: number
  readonly restart: RestartMode | null
  readonly plan: Plan
  /** The same across restarts. */
  readonly resumeId: string
  readonly pid: number | null
  /** Of the present incarnation if it has ended, else of the one before. */
  readonly exit: LifecycleExit | null
  readonly metadata: { readonly [key: string]: string }
  /** Null unless it is a supervisor. */
  readonly strategy: Strategy | null
  /** Null unless it is a supervisor with a breaker. */
  readonly breaker: "closed" | "open" | "half-open" | null
  /** In start order. */
  readonly children: ReadonlyArray<StateTree>
}

export const StateTree: Schema.Codec<StateTree> = Schema.Struct({
  id: Schema.String,
  kind: WorkerKind,
  state: LifecycleState,
  since: Schema.Finite,
  incarnation: Schema.Int,
  crashes: Schema.Int,
  restart: Schema.NullOr(RestartMode),
  plan: Plan,
  resumeId: Schema.String,
  pid: Schema.NullOr(Schema.Int),
  exit: Schema.NullOr(LifecycleExit),
  metadata: Schema.Record(Schema.String, Schema.String),
  strategy: Schema.NullOr(Strategy),
  breaker: Schema.NullOr(Schema.Literals(["closed", "open", "half-open"])),
  children: Schema.Array(Schema.suspend((): Schema.Codec<StateTree> => StateTree))
})

/** The tree as JSON text, and back. */
export const StateTreeJson = Schema.fromJsonString(StateTree)

/** Whether two trees say the same. Subtrees that did not change are shared, so this is quick. */
export const same = (a: StateTree, b: StateTree): boolean =>
  a === b ||
  (a.id === b.id &&
    a.kind === b.kind &&
    a.state === b.state &&
    a.since === b.since &&
    a.incarnation === b.incarnation &&
    a.crashes === b.crashes &&
    a.restart === b.restart &&
    a.plan === b.plan &&
    a.resumeId === b.resumeId &&
    a.pid === b.pid &&
    a.exit === b.exit &&
    a.metadata === b.metadata &&
    a.strategy === b.strategy &&
    a.breaker === b.breaker &&
    a.children.length === b.children.length &&
    a.children.every((child, i) => {
      const other = b.children[i]
      return other !== undefined && same(child, other)
    }))

/** The node at a path of ids below the root, or undefined: `find(tree, ["web", "http"])`. */
export const find = (tree: StateTree, path: ReadonlyArray<string>): StateTree | undefined =>
  path.reduce<StateTree | undefined>((node, id) => node?.children.find((child) => child.id === id), tree)
