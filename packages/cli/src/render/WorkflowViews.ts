/**
 * Workflows as a table, and who holds one back. Pure.
 */
import type { WorkflowView } from "@nerve/core/wire/ControlRpcs"
import type { Look } from "./Look.ts"
import { withProblems } from "./Problems.ts"
import * as Table from "./Table.ts"
import { safe } from "./Text.ts"

/** One line each; beneath them what is wrong, then who is paused. */
export const list = (items: ReadonlyArray<WorkflowView>, { style }: Look): string =>
  withProblems(
    Table.render<WorkflowView>(
      [
        { title: "WORKFLOW", value: (workflow) => workflow.name },
        { title: "ACTIVE", value: (workflow) => `${workflow.active} of ${workflow.concurrency}`, align: "right" },
        {
          title: "QUEUED",
          value: (workflow) => (workflow.overflow === "drop" ? "-" : `${workflow.queued} of ${workflow.maxQueue}`),
          align: "right"
        },
        { title: "WAITING", value: (workflow) => String(workflow.waiting), align: "right" },
        { title: "OVERFLOW", value: (workflow) => workflow.overflow },
        { title: "ROLES", value: (workflow) => workflow.roles.join(", ") || "-" }
      ],
      items,
      style
    ),
    items,
    style
  ) + items.flatMap(({ name, paused }) => (paused === null ? [] : [held(name, paused)])).join("")

/** A workflow of which nothing is started. */
const held = (name: string, reason: string): string =>
  `\n\n${name} is paused${reason === "" ? "" : `: ${safe(reason)}`}\n  go on with: nerve workflow resume ${name}`
