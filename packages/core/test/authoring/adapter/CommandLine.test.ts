/** The adapters of commands and command-line agents (W3), with real processes. */
import { Adapter } from "@nerve/core"
import { it } from "@effect/vitest"
import { Effect, Fiber, FileSystem, Redacted } from "effect"
import * as NodeFileSystem from "@effect/platform-node-shared/NodeFileSystem"
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect } from "vitest"
import { conversation, services } from "../support.ts"

const request = (prompt = "judge", context = conversation()): Adapter.Request => ({ role: "analyst", prompt, context })

const node = (script: string, options: Partial<Adapter.CommandOptions> = {}) =>
  Adapter.command({ name: "agent", command: process.execPath, args: ["-e", script], ...options })

const folder = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped()).pipe(
  Effect.provide(NodeFileSystem.layer)
)

/** Whether a process lives. One that is dead and not yet reaped by its new parent does not. */
const lives = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return process.platform !== "linux" || !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"))
  } catch {
    return false
  }
}

/**
 * A process that ignores SIGTERM, with a child that does too; both pids go to the file. Being ready is
 * told by the file being there.
 */
const stubborn = (file: string) => `
  const { spawn } = require("node:child_process")
  const { writeFileSync, renameSync } = require("node:fs")
  process.on("SIGTERM", () => {})
  const script = 'process.on("SIGTERM", () => {}); console.log("up"); setInterval(() => {}, 1000)'
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] })
  child.stdout.once("data", () => {
    writeFileSync(${JSON.stringify(file)} + ".new", process.pid + " " + child.pid)
    renameSync(${JSON.stringify(file)} + ".new", ${JSON.stringify(file)})
  })
  setInterval(() => {}, 1000)
`

const pids = (file: string) => readFileSync(file, "utf8").split(" ").map(Number)

it.layer(services({ workspace: tmpdir() }), { excludeTestServices: true })("Adapter.command", (it) => {
  it.effect("gives the prompt on stdin and answers stdout", () =>
    Effect.gen(function* () {
      const cat = Adapter.command({ command: "cat" })
      expect(cat.name).toBe("cat")
      expect(yield* cat.run(request("  grüße\n"))).toEqual({ content: "grüße" })
      const long = "x".repeat(90_000)
      expect((yield* cat.run(request(long))).content).toBe(long)
    })
  )

  it.effect("gives the whole conversation, or nothing, when told so", () =>
    Effect.gen(function* () {
      const context = conversation([["collector", "load 9"]])
      const { content } = yield* Adapter.command({ command: "cat", stdin: "transcript" }).run(request("judge", context))
      expect(content).toBe(
        "# Task\nlook after it\n\n# collector said (round 1)\nload 9\n\n# Your turn as analyst\njudge"
      )
      expect(yield* Adapter.command({ command: "cat", stdin: "none" }).run(request())).toEqual({ content: "" })
    })
  )

  it.effect("passes arguments as they are: no shell sees them", () =>
    Effect.gen(function* () {
      const script = "process.stdout.write(JSON.stringify(process.argv.slice(1)))"
      const agent = node("", { args: ({ prompt }) => ["-e", script, "--", prompt, "a b"], parse: (text) => text })
      const prompt = '$(echo hi) `id` "; exit 1 #'
      expect(JSON.parse((yield* agent.run(request(prompt))).content)).toEqual([prompt, "a b"])
    })
  )

  it.effect("runs in the workspace with the worker's environment, unless told otherwise", () =>
    Effect.gen(function* () {
      const print = "console.log([process.cwd(), process.env.EXTRA, process.env.HOME].join('|'))"
      const real = yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.realPath(tmpdir())).pipe(
        Effect.provide(NodeFileSystem.layer)
      )
      expect((yield* node(print).run(request())).content).toBe(`${real}||${process.env["HOME"]}`)
      const told = node(print, { cwd: "/", env: { EXTRA: Redacted.make("e"), HOME: undefined } })
      expect((yield* told.run(request())).content).toBe("/|e|")
    })
  )

  it.effect("makes the reply by `parse`, meta too; a parse that throws fails", () =>
    Effect.gen(function* () {
      const parse = (text: string) => ({ content: "parsed", meta: { length: text.length } })
      expect(yield* node("process.stdout.write('12345')", { parse }).run(request())).toEqual({
        content: "parsed",
        meta: { length: 5 }
      })
      const error = yield* Effect.flip(node("", { parse: (text) => JSON.parse(text) as string }).run(request()))
      expect(error.message).toContain("agent: its output could not be parsed: SyntaxError")
    })
  )

  it.effect("keeps so much of stdout, and says how much it left out", () =>
    Effect.gen(function* () {
      const { content } = yield* node("process.stdout.write('é'.repeat(500_000))", { maxOutput: 11 }).run(request())
      expect(content).toBe("ééééé\n[999989 bytes more are left out]")
    })
  )

  it.effect("does not mind a command that never reads its stdin", () =>
    Effect.gen(function* () {
      const { content } = yield* node("process.stdin.destroy(); console.log('done')").run(
        request("x".repeat(5_000_000))
      )
      expect(content).toBe("done")
    })
  )

  describe("fails", () => {
    it.effect("on a non-zero exit, with the end of stderr", () =>
      Effect.gen(function* () {
        const script = "process.stderr.write('x'.repeat(9000) + 'no credit left\\n'); process.exitCode = 3"
        const error = yield* Effect.flip(node(script).run(request()))
        expect(error).toMatchObject({ _tag: "AdapterFailed", adapter: "agent", retryable: true })
        expect(error.message).toMatch(/^agent: exited with code 3; stderr: x+no credit left$/)
        expect(error.message.length).toBeLessThan(2_100)
      })
    )

    it.effect("when a signal ends it", () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(node("process.kill(process.pid, 'SIGKILL')").run(request()))
        expect(error.message).toBe("agent: was ended by a signal")
      })
    )

    it.effect("when there is no such command, and names it", () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(Adapter.command({ command: "no-such-agent" }).run(request()))
        expect(error.message).toContain("no-such-agent: could not be started: ")
        expect(error.retryable).toBe(false)
      })
    )
  })

  describe("leaves no process behind", () => {
    it.effect("when it takes too long, though neither it nor its child heeds SIGTERM", () =>
      Effect.gen(function* () {
        const file = join(yield* folder, "pids")
        const agent = node(stubborn(file), { timeout: "3 seconds", forceKillAfter: 100 })
        const error = yield* Effect.flip(agent.run(request()))
        expect(error.message).toBe("agent: gave no answer within 3s")
        expect(error.retryable).toBe(true)
        expect(pids(file).map(lives)).toEqual([false, false])
      })
    )

    it.effect("when it is interrupted", () =>
      Effect.gen(function* () {
        const file = join(yield* folder, "pids")
        const fiber = yield* Effect.forkChild(node(stubborn(file), { forceKillAfter: 100 }).run(request()))
        yield* Effect.promise(() => expect.poll(() => existsSync(file)).toBe(true))
        expect(pids(file).map(lives)).toEqual([true, true])
        yield* Fiber.interrupt(fiber)
        expect(pids(file).map(lives)).toEqual([false, false])
      })
    )

    it.effect("when it is done but its child holds stdout open", () =>
      Effect.gen(function* () {
        const script = `
          const child = require("node:child_process").spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], {
            stdio: "inherit"
          })
          console.log(child.pid)
          process.exit(0)
        `
        const { content } = yield* node(script, { forceKillAfter: 100 }).run(request())
        expect(lives(Number(content))).toBe(false)
      })
    )
  })

  describe("ready-made agents", () => {
    /** An executable of that name that prints its arguments as JSON. */
    const stub = (name: string) =>
      Effect.map(folder, (directory) => {
        const file = join(directory, name)
        writeFileSync(file, `#!${process.execPath}\nconsole.log(JSON.stringify(process.argv.slice(2)))\n`)
        chmodSync(file, 0o755)
        return { PATH: `${directory}:${process.env["PATH"]}` }
      })
    const prompt = "# Task\nlook after it\n\n# Your turn as analyst\njudge"

    it.effect("cursor-agent is asked in print mode", () =>
      Effect.gen(function* () {
        const env = yield* stub("cursor-agent")
        const args = (adapter: Adapter.Adapter) =>
          Effect.map(adapter.run(request()), ({ content }): unknown => JSON.parse(content))
        expect(yield* args(Adapter.makeCursorAgent({ env }))).toEqual(["-p", "--output-format", "text", prompt])
        expect(yield* args(Adapter.makeCursorAgent({ env, model: "m", args: ["-p", "--force"] }))).toEqual([
          "-p",
          "--force",
          "--model",
          "m",
          prompt
        ])
        expect(Adapter.cursorAgent.name).toBe("cursor-agent")
      })
    )

    it.effect("hermes is asked in its form for scripts", () =>
      Effect.gen(function* () {
        const env = yield* stub("hermes")
        const { content } = yield* Adapter.makeHermes({ env, model: "m" }).run(request())
        expect(JSON.parse(content)).toEqual(["--model", "m", "-z", prompt])
        expect(Adapter.hermes.name).toBe("hermes")
      })
    )
  })

  it("leaves the oldest steps out of a transcript that would be too long", () => {
    const context = conversation([
      ["a", "old ".repeat(100)],
      ["b", "older ".repeat(100)],
      ["c", "new"]
    ])
    const text = Adapter.transcript(request("judge", context), { maxBytes: 300 })
    expect(new TextEncoder().encode(text).length).toBeLessThanOrEqual(300)
    expect(text).toContain("(2 earlier steps are left out)\n\n# c said (round 3)\nnew")
  })
})
