/**
 * The example as its users run it: `nerve dev` on a copy of the workspace, real processes and figures.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { cp, mkdtemp, readdir, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { LogEntry } from "@nerve/core/domain/LogEntry"
import { Schema } from "effect"
import { afterEach, beforeEach, describe, expect, it } from "vitest"

const example = fileURLToPath(new URL("..", import.meta.url))
const nerve = fileURLToPath(new URL("../../../packages/cli/dist/nerve.mjs", import.meta.url))
const decode = Schema.decodeUnknownSync(Schema.fromJsonString(LogEntry))

let workspace = ""
let daemon: ChildProcess | undefined

beforeEach(async () => {
  workspace = await mkdtemp(join(tmpdir(), "machine-watch-"))
  for (const name of ["nerve.yaml", "package.json", "senses", "workflows"]) {
    await cp(join(example, name), join(workspace, name), { recursive: true })
  }
})

afterEach(async () => {
  daemon?.kill("SIGKILL")
  await rm(workspace, { recursive: true, force: true })
})

const childrenOf = (pid: number): ReadonlyArray<number> =>
  spawnSync("ps", ["-eo", "pid=,ppid="], { encoding: "utf8" })
    .stdout.split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([child = 0, parent]) => (parent === pid ? [child] : []))

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe("nerve dev in machine-watch", () => {
  it(
    "signals from three senses, investigates, writes a report and leaves no process",
    { timeout: 180_000 },
    async () => {
      const { CPU_THRESHOLD: _1, OPENAI_API_KEY: _2, OPENAI_BASE_URL: _3, ...env } = process.env
      const child = spawn(process.execPath, [nerve, "dev", "--workspace", workspace, "--for", "14s", "--json"], {
        env,
        stdio: ["ignore", "pipe", "inherit"]
      })
      daemon = child
      const ended = once(child, "exit")
      const entries: Array<LogEntry> = []
      const workers = new Set<number>()
      for await (const line of createInterface({ input: child.stdout })) {
        const entry = decode(line)
        entries.push(entry)
        if (entry.type === "signal") for (const pid of childrenOf(child.pid ?? 0)) workers.add(pid)
      }
      expect(await ended).toEqual([0, null])

      const signals = Map.groupBy(
        entries.filter((entry) => entry.source === "sense" && entry.type === "signal"),
        (entry) => entry.refId
      )
      expect([...signals.keys()].toSorted()).toEqual(["cpu-usage", "disk", "memory"])
      for (const [, found] of signals) expect(found.length).toBeGreaterThanOrEqual(2)

      const completed = entries.filter((entry) => entry.source === "workflow" && entry.type === "completed")
      expect(completed).toHaveLength(1)
      const thread = completed[0]?.refId ?? ""
      const rounds = entries.filter((entry) => entry.refId === thread && entry.type === "message")
      expect(rounds.map((entry) => entry.round)).toEqual([1, 2, 3])

      expect(await readdir(join(workspace, "data/reports"))).toEqual([`${thread}.md`])
      const report = await readFile(join(workspace, "data/reports", `${thread}.md`), "utf8")
      expect(report).toContain(`- Thread: ${thread}`)
      expect(report).toContain("Judged by plain code")

      expect(workers.size).toBeGreaterThanOrEqual(2)
      expect([...workers].filter(isAlive)).toEqual([])
    }
  )
})
