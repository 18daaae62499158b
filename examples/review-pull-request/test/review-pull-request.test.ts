/**
 * The example as its users run it: `nerve dev` on a copy of the workspace, a real git repository, and
 * the stand-ins for model and agent.
 */
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { cpSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { ThreadDetail } from "@nerve/core/wire/ControlRpcs"
import { Schema } from "effect"
import { expect, it, onTestFinished } from "vitest"

const example = fileURLToPath(new URL("..", import.meta.url))
const nerve = fileURLToPath(new URL("../../../packages/cli/dist/nerve.mjs", import.meta.url))
const decode = Schema.decodeUnknownSync(Schema.fromJsonString(ThreadDetail))

const workspaceOf = (): string => {
  const workspace = mkdtempSync(join(tmpdir(), "review-"))
  onTestFinished(() => rmSync(workspace, { recursive: true, force: true }))
  for (const name of ["nerve.yaml", "package.json", "prepare.mjs", "agents", "workflows"]) {
    cpSync(join(example, name), join(workspace, name), { recursive: true })
  }
  execFileSync(process.execPath, [join(workspace, "prepare.mjs"), workspace], { stdio: "pipe" })
  return workspace
}

it("plans, codes, is sent back by failing tests, and is approved", { timeout: 120_000 }, async () => {
  const workspace = workspaceOf()
  const { CODER_COMMAND: _1, OPENAI_API_KEY: _2, OPENAI_BASE_URL: _3, REPOSITORY: _4, ...env } = process.env
  const run = (command: string, args: ReadonlyArray<string>) =>
    execFileSync(command, args, { env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] })

  const daemon = spawn(process.execPath, [nerve, "dev", "--workspace", workspace, "--json"], {
    env,
    stdio: ["ignore", "pipe", "inherit"]
  })
  onTestFinished(() => void daemon.kill("SIGKILL"))
  const exited = once(daemon, "exit")
  // Its first line: it listens.
  await once(createInterface({ input: daemon.stdout }), "line")

  const cli = (...args: ReadonlyArray<string>) =>
    run(process.execPath, [nerve, ...args, "--workspace", workspace, "--json"])
  const prompt = "median([1, 2, 3, 4]) is 3, not 2.5. Mind numbers of several digits."
  const { messages, run: thread } = decode(cli("workflow", "trigger", "review", "--prompt", prompt, "--wait"))

  expect(thread).toMatchObject({ status: "completed", exitCode: 0 })
  expect(messages.map(({ role }) => role)).toEqual(["planner", "coder", "reviewer", "coder", "reviewer"])
  expect(messages.flatMap(({ meta, role }) => (role === "reviewer" ? [meta] : []))).toMatchObject([
    { verdict: "change" },
    { verdict: "approve" }
  ])
  expect(messages[2]?.content).toContain("numbers of several digits")

  const repository = join(workspace, "data/repository")
  const branch = `review/${thread.threadId}`
  const log = run("git", ["-C", repository, "log", "--format=%B", `main..${branch}`])
  expect(log).toContain(`Nerve-Round: ${thread.threadId}/2`)
  expect(log).toContain(`Nerve-Round: ${thread.threadId}/4`)
  expect(run("git", ["-C", repository, "show", `${branch}:src/median.js`])).toContain("(a, b) => a - b")

  daemon.kill("SIGTERM")
  await exited
})
