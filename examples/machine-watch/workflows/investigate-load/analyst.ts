/**
 * The analyst judges what the collector found. With OPENAI_API_KEY or OPENAI_BASE_URL set it asks that
 * endpoint; otherwise a few rules in plain code judge, and the answer says so.
 */
import { env } from "node:process"
import { Adapter, Role } from "@nerve/core"
import { type Findings, Findings as FindingsSchema, Verdict } from "./findings.ts"

/** A disk this full (percent) needs somebody soon. */
const fullDisk = 95
/** A process that takes this share of a core (percent) keeps the machine busy. */
const busyProcess = 50

export const judgedByCode = "Judged by plain code: neither OPENAI_API_KEY nor OPENAI_BASE_URL is set."

/** The rules. */
export const judge = ({ disk, processes }: Findings): Verdict => {
  const [first] = processes
  const top =
    first === undefined ? "No process is known." : `${first.command} (pid ${first.pid}) uses ${first.cpu} % of a core.`
  if (disk !== null && disk.used >= fullDisk) {
    return {
      severity: "critical",
      summary: `The disk at ${disk.mount} is ${disk.used} % full. ${top}`,
      advice: `Make room on ${disk.mount}.`
    }
  }
  if (first !== undefined && first.cpu >= busyProcess) {
    return {
      severity: "busy",
      summary: top,
      advice: `If that is unexpected, look at what process ${first.pid} is doing.`
    }
  }
  return { severity: "calm", summary: `Nothing stands out. ${top}`, advice: "" }
}

const byCode = Role.make((context) => {
  const findings = Role.lastMeta(context, "collector", FindingsSchema)
  if (findings === undefined) throw new Error("the collector left no findings")
  const verdict = judge(findings)
  return { content: `${verdict.summary} ${verdict.advice}\n\n${judgedByCode}`, meta: verdict }
})

const byEndpoint = Role.fromAdapter({
  adapter: Adapter.openai({
    baseUrl: env["OPENAI_BASE_URL"] ?? "https://api.openai.com/v1",
    model: env["OPENAI_MODEL"] ?? "gpt-4o-mini",
    ...(env["OPENAI_API_KEY"] === undefined ? { apiKey: null } : {})
  }),
  prompt:
    "You look after this machine. Judge from the collector's findings whether it is calm, busy or in a critical " +
    "state, name the process that matters most, and say what a person should do, if anything. Be brief.",
  meta: Verdict
})

const isSet = (name: string): boolean => (env[name] ?? "") !== ""

export const analyst = isSet("OPENAI_API_KEY") || isSet("OPENAI_BASE_URL") ? byEndpoint : byCode
