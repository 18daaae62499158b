/**
 * A workflow is roles plus a pure moderator that says who speaks next (W1). Its module's default
 * export is what `Workflow.make` returns.
 *
 * ```ts
 * export default Workflow.make({
 *   roles: { collector, analyst, reporter },
 *   moderator: Workflow.sequence("collector", "analyst", "reporter")
 * })
 * ```
 */
import type { Context } from "./Conversation.ts"
import type { Role } from "./Role.ts"

export const TypeId = "~@nerve/core/Workflow"
export type TypeId = typeof TypeId

/** The moderator's word for: the conversation is over. */
export const END = "~end" as const
export type END = typeof END

/** The moderator: a pure function of the conversation so far. It must not read clocks or files. */
export type Moderator<RoleNames extends string> = (context: Context) => RoleNames | END

/** A workflow as its module exports it. */
export interface Workflow<RoleNames extends string = string> {
  readonly [TypeId]: TypeId
  readonly roles: Readonly<Record<RoleNames, Role>>
  readonly moderator: Moderator<RoleNames>
}

/** Defines a workflow. The moderator may name the keys of `roles` and END, nothing else. */
export const make = <const RoleNames extends string>(options: {
  readonly roles: Readonly<Record<RoleNames, Role>>
  readonly moderator: Moderator<NoInfer<RoleNames>>
}): Workflow<RoleNames> => ({ [TypeId]: TypeId, roles: options.roles, moderator: options.moderator })

/** Whether a value is what `make` returns, also from another copy of this package. */
export const isWorkflow = (value: unknown): value is Workflow =>
  typeof value === "object" && value !== null && TypeId in value

/** A moderator that lets each role speak once, in the order given. */
export const sequence =
  <const RoleNames extends string>(...order: ReadonlyArray<RoleNames>): Moderator<RoleNames> =>
  (context) =>
    order[context.steps.length] ?? END
