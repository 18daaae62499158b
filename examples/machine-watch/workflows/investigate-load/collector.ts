/**
 * The collector runs `ps` and `df` and hands on what they say. A command that is missing or fails is
 * part of the findings, not the end of the investigation.
 */
import { Adapter, Role } from "@nerve/core"
import * as Effect from "effect/Effect"
import { type Findings, parseDisk, parseProcesses } from "./findings.ts"

/** Figures with a decimal point, whatever the user's language. */
const env = { LC_ALL: "C" }
/** So many processes are worth a look. */
const listed = 12

const ps = Adapter.command({
  command: "ps",
  args: ["-eo", "pid=,pcpu=,pmem=,args="],
  stdin: "none",
  env,
  // Command lines are long, and there may be thousands.
  maxOutput: 8_000_000,
  timeout: "10 seconds"
})
const df = Adapter.command({ command: "df", args: ["-kP", "."], stdin: "none", env, timeout: "10 seconds" })

const output = (adapter: Adapter.Adapter, context: Role.Context, role: string) =>
  adapter.run({ role, prompt: "", context }).pipe(
    Effect.map((reply) => ({ text: reply.content, problem: null })),
    Effect.catch((error) => Effect.succeed({ text: "", problem: error.message }))
  )

export const collector = Role.make(
  Effect.fnUntraced(function* (context, { role }) {
    const answers = yield* Effect.all([output(ps, context, role), output(df, context, role)], {
      concurrency: "unbounded"
    })
    const [processes, disk] = answers
    const findings: Findings = {
      processes: parseProcesses(processes.text, listed),
      disk: parseDisk(disk.text),
      problems: answers.flatMap((answer) => (answer.problem === null ? [] : [answer.problem]))
    }
    return {
      content: [
        "The busiest processes (pid, % of a core, % of memory, command):",
        ...findings.processes.map(({ command, cpu, memory, pid }) => `${pid} ${cpu} ${memory} ${command}`),
        "The disk of this workspace:",
        disk.text,
        ...findings.problems
      ].join("\n"),
      meta: findings
    }
  })
)
