/**
 * Threads as a table, and one as a page. Pure.
 */
import type { RunStatus, ThreadMessage, Wait, WorkflowRun } from "@nerve/core/domain/Thread"
import * as Usage from "@nerve/core/domain/Usage"
import type { ThreadDetail } from "@nerve/core/wire/ControlRpcs"
import type { Look } from "./Look.ts"
import { type Style, tinted, type Tones } from "./Style.ts"
import * as Table from "./Table.ts"
import { count, oneLine, safe } from "./Text.ts"
import { relative, span } from "./Time.ts"

/** One line each. */
export const list = (items: ReadonlyArray<WorkflowRun>, { now, style }: Look): string =>
  Table.render<WorkflowRun>(
    [
      { title: "THREAD", value: (run) => run.threadId },
      { title: "WORKFLOW", value: (run) => run.workflow },
      { title: "STATUS", value: (run) => runState(style, run) },
      { title: "EXIT", value: (run) => (run.exitCode === null ? "-" : String(run.exitCode)), align: "right" },
      { title: "ROUNDS", value: (run) => String(run.rounds), align: "right" },
      { title: "CREATED", value: (run) => relative(run.createdAt, now) },
      { title: "TOOK", value: (run) => took(run, now), align: "right" },
      { title: "PROMPT", value: (run) => oneLine(run.prompt, 40) }
    ],
    items,
    style
  )

/** A thread as a page: what is known of the run, then every round in full. */
export const page = ({ messages, run }: ThreadDetail, { now, style }: Look): string =>
  [
    `${style.bold(run.threadId)}  ${run.workflow}  ${runState(style, run)}${
      run.exitCode === null ? "" : ` (exit code ${run.exitCode})`
    }`,
    ...(run.reason === "" ? [] : [safe(run.reason)]),
    ...(run.paused === null ? [] : [`paused (${run.paused.by}): ${safe(run.paused.reason)}`]),
    ...(run.wait === null ? [] : [`waits: ${waitText(run.wait.wait)}`]),
    [
      `created ${relative(run.createdAt, now)}`,
      `took ${took(run, now)}`,
      `${count(run.rounds, "round")} of at most ${run.maxRounds}`,
      ...(run.crashes === 0 ? [] : [`its worker died ${run.crashes === 1 ? "once" : `${run.crashes} times`}`]),
      ...(run.dryRun ? ["dry run"] : [])
    ].join(", "),
    ...spent(messages),
    "",
    ...safe(run.prompt)
      .trimEnd()
      .split("\n")
      .map((line) => `> ${line}`),
    ...messages.flatMap((message) => round(message, style))
  ].join("\n")

const statusTones: Tones<RunStatus> = {
  completed: "green",
  failed: "red",
  crashed: "red",
  dropped: "yellow",
  interrupted: "yellow",
  killed: "yellow",
  queued: "cyan",
  started: "cyan"
}

/** The status, and why an active thread is not at work. */
const runState = (style: Style, run: WorkflowRun): string =>
  run.phase === null ? tinted(style, statusTones, run.status) : style.yellow(run.phase)

const took = (run: WorkflowRun, now: number): string =>
  run.startedAt === null ? "-" : span((run.endedAt ?? now) - run.startedAt)

/** Nothing worth a line. */
const isEmpty = (meta: ThreadMessage["meta"]): boolean =>
  meta === null || (typeof meta === "object" && Object.keys(meta).length === 0)

/** What asking models took, in words: `3 calls, 1200 tokens in, 80 out, $0.0021`. */
const usageText = (usage: Usage.Usage): string =>
  [
    count(usage.calls, "call"),
    `${usage.inputTokens} tokens in`,
    `${usage.outputTokens} out`,
    ...(usage.costUsd === null ? [] : [`$${usage.costUsd.toFixed(4)}`])
  ].join(", ")

const cost = ({ durationMs, usage }: ThreadMessage): string => {
  const parts = [
    ...(durationMs === undefined ? [] : [span(durationMs)]),
    ...(usage === undefined ? [] : [usageText(usage)])
  ]
  return parts.length === 0 ? "" : `  (${parts.join("; ")})`
}

/** What all rounds took together; nothing when no model was asked. */
const spent = (messages: ReadonlyArray<ThreadMessage>): ReadonlyArray<string> => {
  const usages = messages.flatMap(({ usage }) => (usage === undefined ? [] : [usage]))
  return usages.length === 0 ? [] : [usageText(Usage.sum(usages))]
}

const round = (message: ThreadMessage, style: Style): ReadonlyArray<string> => [
  "",
  `${style.bold(`${message.round}. ${message.role}`)}${style.dim(cost(message))}`,
  ...safe(message.content)
    .trimEnd()
    .split("\n")
    .map((line) => (line === "" ? "" : `   ${line}`)),
  ...(isEmpty(message.meta) ? [] : [style.dim(`   meta: ${oneLine(JSON.stringify(message.meta), 400)}`)])
]

const waitText = (wait: Wait): string => {
  switch (wait._tag) {
    case "Approval":
      return `for an answer: ${safe(wait.question)}`
    case "Sleep":
      return "for a point of time"
    case "Child":
      return `for a thread of ${safe(wait.workflow)}`
  }
}
