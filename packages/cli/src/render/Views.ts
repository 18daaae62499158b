/**
 * The daemon's senses, workflows and workers, and threads, as tables and pages. Pure.
 */
import type { RunStatus, ThreadMessage, Wait, WorkflowRun } from "@nerve/core/domain/Thread"
import * as Usage from "@nerve/core/domain/Usage"
import type { Problem } from "@nerve/core/domain/Problem"
import type {
  ConfigState,
  DaemonStatus,
  ReloadOutcome,
  SenseView,
  ThreadDetail,
  WorkerView,
  WorkflowView
} from "@nerve/core/wire/ControlRpcs"
import type { Style } from "./Style.ts"
import * as Table from "./Table.ts"
import { count, oneLine, safe } from "./Text.ts"
import { relative, span } from "./Time.ts"

/** Now, in milliseconds since the Unix epoch, and how to colour. */
export interface Look {
  readonly now: number
  readonly style: Style
}

export const senseStatus = (style: Style, status: SenseView["status"]): string => {
  switch (status) {
    case "ok":
      return style.green(status)
    case "running":
      return style.cyan(status)
    case "waiting":
      return style.yellow(status)
    case "failed":
      return style.red(status)
  }
}

export const trigger = (sense: SenseView): string =>
  [
    ...(sense.intervalMs === null ? [] : [`every ${span(sense.intervalMs)}`]),
    ...(sense.cron === null ? [] : [`cron ${sense.cron}`]),
    ...(sense.on.length === 0 ? [] : [`on ${sense.on.join(", ")}`])
  ].join(", ") || "by trigger"

/** Problems under the table that they belong to. */
const problems = (items: ReadonlyArray<{ readonly name: string; readonly problem: Problem | null }>, style: Style) =>
  items.flatMap(({ name, problem }) =>
    problem === null
      ? []
      : [
          `${style.red(`${name}: ${safe(problem.message)}`)}${placeOf(problem)}`,
          ...(problem.hint === "" ? [] : [`  ${safe(problem.hint)}`])
        ]
  )

/** Most messages begin with the file. */
const placeOf = ({ file, message }: Problem): string => (file === null || message.includes(file) ? "" : ` (${file})`)

export const withProblems = (
  table: string,
  items: ReadonlyArray<{ readonly name: string; readonly problem: Problem | null }>,
  style: Style
): string => {
  const lines = problems(items, style)
  return lines.length === 0 ? table : [table, "", ...lines].join("\n")
}

export const senses = (items: ReadonlyArray<SenseView>, { now, style }: Look): string =>
  withProblems(
    Table.render<SenseView>(
      [
        { title: "SENSE", value: (sense) => sense.name },
        { title: "GROUP", value: (sense) => sense.group },
        { title: "STATUS", value: (sense) => senseStatus(style, sense.status) },
        { title: "RUNS", value: trigger },
        { title: "LAST", value: (sense) => relative(sense.lastAt, now) },
        { title: "NEXT", value: (sense) => relative(sense.nextAt, now) },
        { title: "COMPUTES", value: (sense) => String(sense.computes), align: "right" },
        { title: "SIGNALS", value: (sense) => String(sense.signals), align: "right" },
        { title: "ERRORS", value: (sense) => String(sense.errors), align: "right" }
      ],
      items,
      style
    ),
    items,
    style
  )

export const workflows = (items: ReadonlyArray<WorkflowView>, { style }: Look): string =>
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

const workerState = (style: Style, state: WorkerView["state"]): string => {
  switch (state) {
    case "ready":
      return style.green(state)
    case "given-up":
      return style.red(state)
    case "backoff":
      return style.yellow(state)
    case "starting":
    case "draining":
    case "stopped":
      return state
  }
}

export const workers = (items: ReadonlyArray<WorkerView>, { style }: Look): string =>
  Table.render<WorkerView>(
    [
      { title: "WORKER", value: (worker) => worker.key },
      { title: "STATE", value: (worker) => workerState(style, worker.state) },
      { title: "PID", value: (worker) => (worker.pid === null ? "-" : String(worker.pid)), align: "right" },
      { title: "STARTS", value: (worker) => String(worker.incarnation), align: "right" },
      { title: "CRASHES", value: (worker) => String(worker.crashes), align: "right" }
    ],
    items,
    style
  )

/** What there is to know of the configuration; nothing when it runs as nerve.yaml says. */
const configState = ({ refused, restart, since }: ConfigState, { now, style }: Look): ReadonlyArray<string> => [
  ...(refused === null
    ? []
    : [
        style.red(`nerve.yaml on disk is not what runs: it was refused ${relative(refused.at, now)}`),
        `  ${safe(refused.message)}`,
        `  The configuration of ${relative(since, now)} runs on. Mend the file, and it is taken over.`
      ]),
  ...(restart.length === 0 ? [] : [style.yellow(`${restart.join(", ")}: changed, takes effect at the next start`)])
]

/** What a reload that was asked for came to. */
export const reloaded = (outcome: ReloadOutcome, look: Look): string => {
  const { changes, config, senses, workflows } = outcome
  const lines = [
    ...configState(config, look),
    ...changes.map(safe),
    ...senses.map((name) => `sense ${name}: code changed, loaded anew when it is idle`),
    ...workflows.map((name) => `workflow ${name}: code changed, loaded anew as its on_change says`)
  ]
  return lines.length === 0 ? "nothing has changed" : lines.join("\n")
}

/** The whole daemon. */
export const status = (daemon: DaemonStatus, look: Look): string =>
  [
    `${look.style.bold(`nerve ${daemon.version}`)}  pid ${daemon.pid} on ${daemon.hostname}, up ${span(daemon.uptimeMs)}`,
    daemon.workspace,
    ...(daemon.config === undefined ? [] : configState(daemon.config, look)),
    "",
    senses(daemon.senses, look),
    "",
    workflows(daemon.workflows, look),
    "",
    workers(daemon.workers, look)
  ].join("\n")

const runStatus = (style: Style, value: RunStatus): string => {
  switch (value) {
    case "completed":
      return style.green(value)
    case "failed":
    case "crashed":
      return style.red(value)
    case "dropped":
    case "interrupted":
    case "killed":
      return style.yellow(value)
    case "queued":
    case "started":
      return style.cyan(value)
  }
}

/** The status, and why an active thread is not at work. */
const runState = (style: Style, run: WorkflowRun): string =>
  run.phase === null ? runStatus(style, run.status) : style.yellow(run.phase)

const took = (run: WorkflowRun, now: number): string =>
  run.startedAt === null ? "-" : span((run.endedAt ?? now) - run.startedAt)

export const threads = (items: ReadonlyArray<WorkflowRun>, { now, style }: Look): string =>
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

/** A thread as a page: what is known of the run, then every round in full. */
export const thread = ({ messages, run }: ThreadDetail, { now, style }: Look): string =>
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
