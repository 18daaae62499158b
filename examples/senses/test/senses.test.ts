/**
 * Each sense against the real thing: files, a web server, a server with a certificate, git repositories, a
 * process.
 */
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { appendFile, mkdir, mkdtemp, rename, rm, truncate, writeFile } from "node:fs/promises"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createServer as createTlsServer } from "node:tls"
import { fileURLToPath } from "node:url"
import type { Sense } from "@nerve/core"
import { SenseTest } from "@nerve/node"
import type { Schema } from "effect"
import { describe, expect, it, onTestFinished } from "vitest"
import folder from "../senses/folder/index.ts"
import git from "../senses/git/index.ts"
import http from "../senses/http/index.ts"
import log from "../senses/log/index.ts"
import processSense from "../senses/process/index.ts"
import tls from "../senses/tls/index.ts"

const workspace = fileURLToPath(new URL("..", import.meta.url))

/** A sense of this workspace with its parameters, and what its computes come to. */
const use = <A, S, T>(
  name: string,
  sense: Sense.Sense<A, S, T>,
  params: Schema.Json,
  test: (context: {
    readonly compute: () => Promise<Sense.Outcome<A>>
    /** The value of a compute that must signal. */
    readonly signal: () => Promise<A>
    readonly db: SenseTest.SenseTest<A>["db"]
  }) => Promise<void>
) =>
  SenseTest.run(sense, { workspace, name, params }, ({ compute, db }) =>
    test({
      compute,
      db,
      signal: async () => {
        const outcome = await compute()
        if (outcome._tag !== "Signal") throw new Error(`no signal: ${outcome.reason}`)
        return outcome.value
      }
    })
  )

const temporary = async (): Promise<string> => {
  const path = await mkdtemp(join(tmpdir(), "nerve-senses-"))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

const none = { _tag: "NoSignal", reason: null }
const skip = (reason: string) => ({ _tag: "NoSignal", reason })

describe("folder", () => {
  it("tells what came, changed and went, once, and not what it is to ignore", async () => {
    const path = await temporary()
    await mkdir(join(path, "deep/node_modules"), { recursive: true })
    await writeFile(join(path, "a.txt"), "a")
    await writeFile(join(path, "deep/b.txt"), "b")
    await use("folder", folder, { path, ignore: ["node_modules"] }, async ({ compute, db, signal }) => {
      expect(await compute()).toEqual(skip("first look: 2 files"))
      expect(await compute()).toEqual(none)

      await writeFile(join(path, "deep/node_modules/x.txt"), "ignored")
      expect(await compute()).toEqual(none)

      await writeFile(join(path, "a.txt"), "longer")
      await writeFile(join(path, "c.txt"), "c")
      await rm(join(path, "deep/b.txt"))
      expect(await signal()).toEqual({
        path,
        added: { count: 1, files: ["c.txt"] },
        changed: { count: 1, files: ["a.txt"] },
        removed: { count: 1, files: ["deep/b.txt"] }
      })
      expect(await compute()).toEqual(none)
      expect(db.prepare("SELECT path, size FROM files ORDER BY path").all()).toEqual([
        { path: "a.txt", size: 6 },
        { path: "c.txt", size: 1 }
      ])
    })
  })

  it("tells the first file of a folder that was empty", async () => {
    const path = await temporary()
    await use("folder", folder, { path }, async ({ compute, signal }) => {
      expect(await compute()).toEqual(none)
      await writeFile(join(path, "first"), "")
      expect((await signal()).added).toEqual({ count: 1, files: ["first"] })
    })
  })
})

describe("log", () => {
  it("tells each matching line once, a line that is being written when it is whole", async () => {
    const file = join(await temporary(), "app.log")
    await use("log", log, { file, pattern: "error" }, async ({ compute, signal }) => {
      expect(await compute()).toEqual(skip(`there is no ${file}`))
      await writeFile(file, "all well\nERROR one\nerr")
      expect(await signal()).toEqual({ file, count: 1, lines: ["ERROR one"] })
      expect(await compute()).toEqual(none)
      await appendFile(file, "or two\nerror three\n")
      expect(await signal()).toEqual({ file, count: 2, lines: ["error two", "error three"] })
    })
  })

  it("goes on with the next file after a rotation, and at the beginning after a truncation", async () => {
    const file = join(await temporary(), "app.log")
    await use("log", log, { file, pattern: "error" }, async ({ compute, signal }) => {
      await writeFile(file, "error in the first file\n")
      await signal()
      await rename(file, `${file}.1`)
      await writeFile(file, "error in the second, which is longer\n")
      expect((await signal()).lines).toEqual(["error in the second, which is longer"])
      await truncate(file)
      expect(await compute()).toEqual(none)
      await appendFile(file, "error again\n")
      expect((await signal()).lines).toEqual(["error again"])
    })
  })

  it("reads a large file bit by bit, and quotes no more than a few lines", async () => {
    const file = join(await temporary(), "app.log")
    const count = 60_000
    await writeFile(file, Array.from({ length: count }, (_, n) => `error number ${n} of many\n`).join(""))
    await use("log", log, { file, pattern: "error" }, async ({ compute }) => {
      let told = 0
      for (let outcome = await compute(); outcome._tag === "Signal"; outcome = await compute()) {
        expect(outcome.value.lines.length).toBeLessThanOrEqual(50)
        told += outcome.value.count
      }
      expect(told).toBe(count)
    })
  })
})

describe("http", () => {
  it("tells when a server gets slow, fails, is gone, and is well again", async () => {
    let status = 200
    let delay = 0
    const server = createServer((_, response) => {
      setTimeout(() => response.writeHead(status).end("hello"), delay)
    }).listen(0, "127.0.0.1")
    await once(server, "listening")
    const { port } = server.address() as AddressInfo
    const url = `http://127.0.0.1:${port}/`
    await use("http", http, { url, slow: 5_000, timeout: 60_000 }, async ({ compute, db, signal }) => {
      expect(await signal()).toMatchObject({ url, health: "well", before: null, answer: "200 OK" })
      expect(await compute()).toEqual(skip("still well: 200 OK"))
      status = 503
      expect(await signal()).toMatchObject({ health: "failing", before: "well", answer: "503 Service Unavailable" })
      status = 200
      expect(await signal()).toMatchObject({ health: "well", before: "failing" })
      server.closeAllConnections()
      server.close()
      await once(server, "close")
      const gone = await signal()
      expect(gone).toMatchObject({ health: "failing" })
      // Refused, or hung up on when the connection of before is tried first.
      expect(gone.answer).toMatch(/ECONNREFUSED|closed/)
      const checks = db.prepare("SELECT status, milliseconds FROM checks ORDER BY id").all()
      expect(checks.map((row) => row["status"])).toEqual([200, 200, 503, 200, null])
      for (const row of checks) expect(row["milliseconds"]).toBeGreaterThan(0)
    })
    delay = 20
    const slow = createServer((_, response) => void setTimeout(() => response.end("late"), delay)).listen(
      0,
      "127.0.0.1"
    )
    onTestFinished(() => void slow.close())
    await once(slow, "listening")
    const slowUrl = `http://127.0.0.1:${(slow.address() as AddressInfo).port}/`
    await use("http", http, { url: slowUrl, slow: 10 }, async ({ signal }) => {
      expect(await signal()).toMatchObject({ health: "slow", answer: "200 OK" })
    })
  })
})

describe("tls", () => {
  /** A server with a certificate of its own that is good for so many days; its port. */
  const serve = async (
    days: number,
    port = 0
  ): Promise<{ readonly port: number; readonly stop: () => Promise<void> }> => {
    const path = await temporary()
    const [key, certificate] = [join(path, "key.pem"), join(path, "certificate.pem")]
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]
    const subject = ["-subj", "/CN=watched.test", "-days", String(days)]
    execFileSync("openssl", ["req", "-x509", ...curve, ...subject, "-keyout", key, "-out", certificate], {
      stdio: "ignore"
    })
    const read = (file: string) => execFileSync("cat", [file])
    const server = createTlsServer({ key: read(key), cert: read(certificate) }, (socket) => {
      // The sense hangs up when it has seen the certificate.
      socket.on("error", () => {})
      socket.end()
    }).listen(port, "127.0.0.1")
    await once(server, "listening")
    const stop = async () => {
      if (!server.listening) return
      server.close()
      await once(server, "close")
    }
    onTestFinished(stop)
    return { port: (server.address() as AddressInfo).port, stop }
  }

  it("tells once for each limit that is passed, and when the certificate was renewed", async () => {
    const old = await serve(10)
    const params = { host: "127.0.0.1", port: old.port, days: [30, 14, 7] }
    await use("tls", tls, params, async ({ compute, signal }) => {
      const first = await signal()
      expect(first).toMatchObject({ host: "127.0.0.1", name: "watched.test", daysLeft: 9, renewed: false })
      expect(first.expires.getTime()).toBeGreaterThan(Date.now())
      expect(await compute()).toEqual(skip("9 days left"))
      await old.stop()
      await serve(90, old.port)
      expect(await signal()).toMatchObject({ daysLeft: 89, renewed: true })
      expect(await compute()).toEqual(skip("89 days left"))
    })
  })

  it("fails when there is nobody", async () => {
    const server = await serve(1)
    await server.stop()
    await use("tls", tls, { host: "127.0.0.1", port: server.port, days: [7] }, async ({ compute }) => {
      await expect(compute()).rejects.toThrow("ECONNREFUSED")
    })
  })
})

describe("git", () => {
  it("tells of new commits upstream once, and is quiet when they were pulled", async () => {
    const path = await temporary()
    const run = (cwd: string, ...args: ReadonlyArray<string>) =>
      execFileSync("git", ["-c", "user.name=test", "-c", "user.email=test@localhost", ...args], {
        cwd,
        stdio: ["ignore", "pipe", "ignore"]
      })
    const [upstream, clone] = [join(path, "upstream"), join(path, "clone")]
    await mkdir(upstream)
    run(upstream, "init", "--quiet", "--initial-branch=main")
    const commit = (message: string) => run(upstream, "commit", "--quiet", "--allow-empty", "-m", message)
    commit("Begin")
    await use("git", git, { repository: upstream }, async ({ compute }) => {
      expect(await compute()).toEqual(skip("main has no upstream"))
    })
    run(path, "clone", "--quiet", upstream, clone)
    await use("git", git, { repository: clone }, async ({ compute, signal }) => {
      expect(await compute()).toEqual(none)
      commit("Mend the door")
      commit("Paint it")
      const behind = await signal()
      expect(behind).toMatchObject({ branch: "main", upstream: "origin/main", behind: 2, ahead: 0 })
      expect(behind.commits.map((line) => line.replace(/^\w+ /, ""))).toEqual(["Paint it", "Mend the door"])
      expect(await compute()).toEqual(skip("still 2 commits behind origin/main"))
      run(clone, "pull", "--quiet")
      expect(await compute()).toEqual(none)
    })
  })
})

describe("process", () => {
  it("tells when a program starts and when it has ended", async () => {
    // A name that nothing else on this machine has.
    const name = `nerve${Date.now() % 1e9}`
    const path = join(await temporary(), name)
    execFileSync("cp", ["/bin/sleep", path])
    const start = async (): Promise<{ readonly pid: number; readonly stop: () => Promise<void> }> => {
      const child = spawn(path, ["600"], { stdio: "ignore" })
      await once(child, "spawn")
      const stop = async () => {
        if (child.exitCode !== null || child.signalCode !== null) return
        child.kill("SIGKILL")
        await once(child, "exit")
      }
      onTestFinished(stop)
      return { pid: child.pid ?? 0, stop }
    }
    await use("process", processSense, { name }, async ({ compute, signal }) => {
      expect(await compute()).toEqual(skip("first look: 0 running"))
      const first = await start()
      expect(await signal()).toEqual({ name, running: [first.pid], started: [first.pid], ended: [] })
      expect(await compute()).toEqual(none)
      const second = await start()
      await first.stop()
      expect(await signal()).toEqual({ name, running: [second.pid], started: [second.pid], ended: [first.pid] })
      await second.stop()
      expect(await signal()).toEqual({ name, running: [], started: [], ended: [second.pid] })
    })
  })
})
