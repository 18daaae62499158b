/**
 * The daemon as a page, and what a reload came to. Pure.
 */
import type { ConfigState, DaemonStatus, ReloadOutcome, WorkerView } from "@nerve/core/wire/ControlRpcs"
import type { Look } from "./Look.ts"
import * as SenseViews from "./SenseViews.ts"
import { tinted, type Tones } from "./Style.ts"
import * as Table from "./Table.ts"
import { safe } from "./Text.ts"
import { relative, span } from "./Time.ts"
import * as WorkflowViews from "./WorkflowViews.ts"

/** The whole daemon. */
export const status = (daemon: DaemonStatus, look: Look): string =>
  [
    `${look.style.bold(`nerve ${daemon.version}`)}  pid ${daemon.pid} on ${daemon.hostname}, up ${span(daemon.uptimeMs)}`,
    daemon.workspace,
    ...(daemon.config === undefined ? [] : configState(daemon.config, look)),
    "",
    SenseViews.counts(daemon.senses, look),
    "",
    WorkflowViews.list(daemon.workflows, look),
    "",
    workers(daemon.workers, look)
  ].join("\n")

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

const stateTones: Tones<WorkerView["state"]> = {
  ready: "green",
  "given-up": "red",
  backoff: "yellow",
  starting: "none",
  draining: "none",
  stopped: "none"
}

const workers = (items: ReadonlyArray<WorkerView>, { style }: Look): string =>
  Table.render<WorkerView>(
    [
      { title: "WORKER", value: (worker) => worker.key },
      { title: "STATE", value: (worker) => tinted(style, stateTones, worker.state) },
      { title: "PID", value: (worker) => (worker.pid === null ? "-" : String(worker.pid)), align: "right" },
      { title: "STARTS", value: (worker) => String(worker.incarnation), align: "right" },
      { title: "CRASHES", value: (worker) => String(worker.crashes), align: "right" }
    ],
    items,
    style
  )
