/**
 * The reporter writes `data/reports/<thread>.md`. It writes a file beside it and renames that, so that
 * nobody ever sees half a report. Writing again, after a crash before the round was recorded, replaces
 * the report by the same one.
 */
import { mkdir, rename, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Role } from "@nerve/core"
import { type Findings, Findings as FindingsSchema, Verdict } from "./findings.ts"

const gigabytes = (bytes: number): string => `${(bytes / 1024 ** 3).toFixed(1)} GiB`

/** What stands in a Markdown table's cell. */
const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ")

/** The report's text. Pure: the times are those of the recorded rounds. */
export const render = (context: Role.Context, findings: Findings, verdict: Verdict): string => {
  const analyst = Role.last(context, "analyst")
  const { disk } = findings
  const processes = findings.processes.map(
    ({ command, cpu, memory, pid }) => `| ${pid} | ${cpu} | ${memory} | ${cell(command)} |`
  )
  return [
    `# Load report: ${verdict.severity}`,
    "",
    `- Thread: ${context.threadId}`,
    `- Judged: ${new Date(analyst?.timestamp ?? 0).toISOString()}`,
    `- Asked: ${context.start.prompt}`,
    "",
    "## Verdict",
    "",
    verdict.summary,
    ...(verdict.advice === "" ? [] : ["", verdict.advice]),
    "",
    "## Analyst's words",
    "",
    analyst?.content ?? "",
    "",
    "## Processes",
    "",
    "| pid | % of a core | % of memory | command |",
    "| --- | --- | --- | --- |",
    ...processes,
    "",
    "## Disk",
    "",
    disk === null
      ? "Not known."
      : `${disk.mount}: ${disk.used} % used, ${gigabytes(disk.available)} of ${gigabytes(disk.total)} available.`,
    ...(findings.problems.length === 0 ? [] : ["", "## Problems", "", ...findings.problems.map((text) => `- ${text}`)]),
    ""
  ].join("\n")
}

export const reporter = Role.make(async (context, { workspace }) => {
  const findings = Role.lastMeta(context, "collector", FindingsSchema)
  const verdict = Role.lastMeta(context, "analyst", Verdict)
  if (findings === undefined || verdict === undefined) throw new Error("there are no findings, or there is no verdict")
  const folder = join(workspace, "data", "reports")
  const file = join(folder, `${context.threadId}.md`)
  await mkdir(folder, { recursive: true })
  await writeFile(`${file}.tmp`, render(context, findings, verdict), { flush: true })
  await rename(`${file}.tmp`, file)
  const path = join("data", "reports", `${context.threadId}.md`)
  return { content: `Wrote ${path}`, meta: { path } }
})
