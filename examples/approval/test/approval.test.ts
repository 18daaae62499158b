/**
 * The example as its users run it: a real daemon, killed while a thread waits, and the command line.
 */
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { Explanation, ThreadDetail, Triggered } from "@nerve/core/wire/ControlRpcs"
import { LogEntry } from "@nerve/core/domain/LogEntry"
import { WorkflowRun } from "@nerve/core/domain/Thread"
import { Schema } from "effect"
import { expect, it, onTestFinished } from "vitest"

const example = fileURLToPath(new URL("..", import.meta.url))
const nerve = fileURLToPath(new URL("../../../packages/cli/dist/nerve.mjs", import.meta.url))

const decode = <A, I>(schema: Schema.Codec<A, I>, text: string): A =>
  Schema.decodeUnknownSync(Schema.fromJsonString(schema))(text)

const workspaceOf = (): string => {
  const workspace = mkdtempSync(join(tmpdir(), "approval-"))
  onTestFinished(() => rmSync(workspace, { recursive: true, force: true, maxRetries: 10 }))
  for (const name of ["nerve.yaml", "package.json", "workflows"]) {
    cpSync(join(example, name), join(workspace, name), { recursive: true })
  }
  return workspace
}

/** A daemon that answers, and the next log entry that fits. */
const daemonOf = async (workspace: string) => {
  const child = spawn(process.execPath, [nerve, "dev", "--workspace", workspace, "--json"], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  onTestFinished(() => void child.kill("SIGKILL"))
  const exited = once(child, "exit")
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const until = async (type: string, about?: string): Promise<LogEntry> => {
    for (;;) {
      const { done, value } = await lines.next()
      if (done === true) throw new Error(`the daemon ended before there was ${type}`)
      const entry = decode(LogEntry, value)
      if (entry.type === type && (about === undefined || entry.refId === about)) return entry
    }
  }
  await until("started")
  return { child, exited, until }
}

it("waits for a person across the death of the daemon, and goes on with the answer", { timeout: 120_000 }, async () => {
  const workspace = workspaceOf()
  const cli = (...args: ReadonlyArray<string>) => {
    const { status, stderr, stdout } = spawnSync(
      process.execPath,
      [nerve, ...args, "--workspace", workspace, "--json"],
      { encoding: "utf8" }
    )
    return { status, stderr, stdout }
  }
  const first = await daemonOf(workspace)
  const ask = () =>
    decode(Triggered, cli("workflow", "trigger", "release", "-p", "Version 1.2", "--key", "v1.2").stdout)
  const { threadId } = ask()
  await first.until("waiting", threadId)
  expect(ask()).toMatchObject({ threadId, existing: true })
  first.child.kill("SIGKILL")
  await first.exited

  const second = await daemonOf(workspace)
  const waiting = decode(Schema.Array(WorkflowRun), cli("thread", "list", "--phase", "waiting").stdout)
  expect(waiting).toMatchObject([{ threadId, status: "started", phase: "waiting" }])
  const why = decode(Explanation, cli("why", threadId).stdout)
  expect(why.lines[0]).toContain("waits for an answer to gate")
  expect(why.lines[0]).toContain('Publish "Version 1.2"?')

  const refused = cli("thread", "answer", threadId, "--approve", "--answer", '{"channel": "nightly"}')
  expect(refused.status).toBe(1)
  expect(refused.stderr).toContain("the answer does not fit what gate asks for: answer.channel")
  expect(cli("thread", "answer", threadId).status).toBe(2)
  const approve = ["thread", "answer", threadId, "--approve", "--answer", '{"channel": "stable"}', "--by", "anna"]
  expect(cli(...approve).status).toBe(0)
  const ended = cli("thread", "wait", threadId)
  expect(ended.status).toBe(0)
  const { messages, run } = decode(ThreadDetail, ended.stdout)
  expect(run).toMatchObject({ status: "completed", rounds: 5, key: "v1.2" })
  expect(messages.map(({ role }) => role)).toEqual(["preparer", "gate", "pause", "publisher", "announcer"])
  expect(messages[4]).toMatchObject({ content: "Announce: Version 1.2!", meta: { status: "completed" } })
  expect(readFileSync(join(workspace, "data/releases", `${threadId}.txt`), "utf8")).toBe(
    "Version 1.2\nchannel: stable\napproved by: anna\n"
  )
  expect(cli(...approve).stderr).toContain("it has ended already (completed)")

  const { threadId: other } = decode(Triggered, cli("workflow", "trigger", "release", "-p", "Version 2").stdout)
  await second.until("waiting", other)
  expect(cli("thread", "answer", other, "--reject", "--reason", "too early").status).toBe(0)
  const rejected = decode(ThreadDetail, cli("thread", "wait", other).stdout)
  expect(rejected.messages.map(({ content }) => content).at(-1)).toMatch(/^rejected by .*: too early$/)

  second.child.kill("SIGTERM")
  expect(await second.exited).toEqual([0, null])
})
