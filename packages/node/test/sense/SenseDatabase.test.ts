/** A sense's own database is in WAL (S1); its peers can be read and never written (S3). */
import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, Scope } from "effect"
import { rmSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as SenseDatabase from "../../src/sense/SenseDatabase.ts"
import * as SenseSqlClient from "../../src/sense/SenseSqlClient.ts"
import { makeWorkspace } from "../user/workspace.ts"

/** A workspace in which the senses `a` and `b` have run, seen by `a`. */
const setUp = Effect.gen(function* () {
  const workspace = yield* makeWorkspace({})
  const a = yield* SenseDatabase.open(workspace, "a")
  const b = yield* SenseDatabase.open(workspace, "b")
  a.exec("CREATE TABLE t (x)")
  b.exec("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
  const peers = yield* SenseDatabase.makePeers({ workspace, sense: "a", senses: () => ["a", "b", "c", "b"] })
  return { workspace, a, b, peers }
})

/** The text of what an effect dies with. */
const defectOf = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.exit(effect), (exit) => (Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "it succeeded"))

const messageOf = (attempt: () => unknown): string => {
  try {
    attempt()
    return "it succeeded"
  } catch (error) {
    return String(error)
  }
}

describe("the own database", () => {
  it.live("is created in WAL, with a busy timeout, for both kinds of compute", () =>
    Effect.gen(function* () {
      const { a } = yield* setUp
      expect(a.prepare("PRAGMA journal_mode").get()?.journal_mode).toBe("wal")
      expect(a.prepare("PRAGMA busy_timeout").get()?.timeout).toBe(5000)
      const sql = yield* SenseSqlClient.make(a)
      expect(yield* sql`PRAGMA journal_mode`).toEqual([{ journal_mode: "wal" }])
      expect(yield* sql`PRAGMA busy_timeout`).toEqual([{ timeout: 5000 }])
      yield* sql`INSERT INTO t VALUES (${5})`
      expect(a.prepare("SELECT x FROM t").all()).toEqual([expect.objectContaining({ x: 5 })])
    })
  )

  it.live("an Effect transaction that fails is rolled back", () =>
    Effect.gen(function* () {
      const { a } = yield* setUp
      const sql = yield* SenseSqlClient.make(a)
      yield* Effect.flip(sql.withTransaction(Effect.andThen(sql`INSERT INTO t VALUES (1)`, Effect.fail("no"))))
      expect(a.prepare("SELECT count(*) AS n FROM t").get()?.n).toBe(0)
    })
  )

  it.live("is a problem where WAL cannot be had", () =>
    Effect.gen(function* () {
      const problem = yield* Effect.flip(SenseDatabase.openFile(":memory:", "data/senses/a.db"))
      expect(problem).toMatchObject({ code: "wal-unavailable", file: "data/senses/a.db" })
      expect(problem.message).toContain("its journal mode stays memory")
    })
  )

  it.live("is a problem where the file is no database", () =>
    Effect.gen(function* () {
      const workspace = yield* makeWorkspace({ "data/senses/a.db": "something else altogether".repeat(100) })
      const problem = yield* Effect.flip(SenseDatabase.open(workspace, "a"))
      expect(problem).toEqual({
        code: "database-unusable",
        file: "data/senses/a.db",
        message: "data/senses/a.db cannot be opened: file is not a database",
        hint: ""
      })
    })
  )

  it.live("is a problem where the folder cannot be made", () =>
    Effect.gen(function* () {
      const workspace = yield* makeWorkspace({ data: "a file" })
      const problem = yield* Effect.flip(SenseDatabase.open(workspace, "a"))
      expect(problem.code).toBe("database-unusable")
    })
  )

  it.live("is closed with its scope", () =>
    Effect.gen(function* () {
      const workspace = yield* makeWorkspace({})
      const handle = yield* Effect.scoped(SenseDatabase.open(workspace, "a"))
      expect(handle.isOpen).toBe(false)
    })
  )
})

describe("peers", () => {
  it.live("are all other senses, once each, and never the sense itself", () =>
    Effect.gen(function* () {
      const { peers } = yield* setUp
      expect(peers.names).toEqual(["b", "c"])
      expect(yield* defectOf(peers.client("a"))).toContain("a is no peer of its own")
      expect(messageOf(() => peers.plain("a"))).toContain("a is no peer of its own")
    })
  )

  it.live("can be read while their owner writes, and show what it committed", () =>
    Effect.gen(function* () {
      const { b, peers } = yield* setUp
      const sql = yield* peers.client("b")
      expect(yield* sql`SELECT x FROM t`).toEqual([{ x: 1 }])
      b.exec("BEGIN IMMEDIATE; INSERT INTO t VALUES (2)")
      expect(yield* sql`SELECT count(*) AS n FROM t`).toEqual([{ n: 1 }])
      b.exec("COMMIT")
      expect(yield* sql`SELECT count(*) AS n FROM t`).toEqual([{ n: 2 }])
      expect(peers.plain("b").prepare("SELECT count(*) AS n FROM t").get()?.n).toBe(2)
    })
  )

  it.live("that were made anew are read anew", () =>
    Effect.gen(function* () {
      const { peers, workspace } = yield* setUp
      expect(peers.plain("b").prepare("SELECT x FROM t").all()).toHaveLength(1)
      yield* (yield* peers.client("b"))`SELECT x FROM t`
      for (const end of ["", "-wal", "-shm"]) rmSync(join(workspace, `${SenseDatabase.fileOf("b")}${end}`))
      const again = yield* SenseDatabase.open(workspace, "b")
      again.exec("CREATE TABLE t (x); INSERT INTO t VALUES (7), (8)")
      expect(peers.plain("b").prepare("SELECT x FROM t").all()).toEqual([{ x: 7 }, { x: 8 }])
      expect(yield* (yield* peers.client("b"))`SELECT x FROM t`).toEqual([{ x: 7 }, { x: 8 }])
    })
  )

  it.live("stay as they are, whatever is tried", () =>
    Effect.gen(function* () {
      const { b, peers, workspace } = yield* setUp
      const file = join(workspace, SenseDatabase.fileOf("b"))
      const other = join(workspace, SenseDatabase.fileOf("a"))
      const attempts = [
        ["INSERT INTO t VALUES (9)"],
        ["CREATE TABLE u (x)"],
        ["DROP TABLE t"],
        ["PRAGMA query_only = OFF", "INSERT INTO t VALUES (9)"],
        ["PRAGMA user_version = 9"],
        [`ATTACH '${file}' AS again`, "INSERT INTO again.t VALUES (9)"],
        [`ATTACH '${other}' AS other`, "INSERT INTO other.t VALUES (9)"],
        [`ATTACH 'file:${file}?mode=rw' AS writable`, "INSERT INTO writable.t VALUES (9)"]
      ]
      const sql = yield* peers.client("b")
      for (const statements of attempts) {
        const all = Effect.forEach(statements, (statement) => sql.unsafe(statement))
        expect([statements, (yield* Effect.exit(all))._tag]).toEqual([statements, "Failure"])
        const plain = messageOf(() => statements.forEach((statement) => peers.plain("b").exec(statement)))
        expect(plain).toMatch(/readonly database|access mode not allowed|already in use/)
      }
      expect(b.prepare("SELECT x FROM t").all()).toEqual([expect.objectContaining({ x: 1 })])
      expect(b.prepare("PRAGMA user_version").get()?.user_version).toBe(0)
      expect(b.prepare("SELECT name FROM sqlite_master").all()).toHaveLength(1)
    })
  )

  it.live("that have not run yet say so, and can be read once they have", () =>
    Effect.gen(function* () {
      const { peers, workspace } = yield* setUp
      const message = "the sense c has not run yet: its database data/senses/c.db does not exist"
      expect(yield* defectOf(peers.client("c"))).toContain(message)
      expect(messageOf(() => peers.plain("c"))).toContain(message)
      const c = yield* SenseDatabase.open(workspace, "c")
      c.exec("CREATE TABLE t (x)")
      expect(yield* (yield* peers.client("c"))`SELECT * FROM t`).toEqual([])
      expect(peers.plain("c").prepare("SELECT * FROM t").all()).toEqual([])
    })
  )

  it.live("of an unknown name are refused with the names that there are", () =>
    Effect.gen(function* () {
      const { peers } = yield* setUp
      const message = "there is no sense typo in this workspace; the peers of a: b, c"
      expect(yield* defectOf(peers.client("typo"))).toContain(message)
      expect(messageOf(() => peers.plain("typo"))).toContain(message)
      expect(messageOf(() => peers.plain("../a"))).toContain("there is no sense ../a")
    })
  )

  it.live("can be read when their owner is not running", () =>
    Effect.gen(function* () {
      const workspace = yield* makeWorkspace({})
      yield* Effect.scoped(Effect.map(SenseDatabase.open(workspace, "b"), (b) => b.exec("CREATE TABLE t (x)")))
      const peers = yield* SenseDatabase.makePeers({ workspace, sense: "a", senses: () => ["a", "b"] })
      expect(yield* (yield* peers.client("b"))`SELECT * FROM t`).toEqual([])
    })
  )

  it.live("are opened once, and closed with the scope", () =>
    Effect.gen(function* () {
      const { workspace } = yield* setUp
      const scope = yield* Scope.make()
      const peers = yield* Scope.provide(
        SenseDatabase.makePeers({ workspace, sense: "a", senses: () => ["a", "b"] }),
        scope
      )
      const [one, two] = yield* Effect.all([peers.client("b"), peers.client("b")], { concurrency: "unbounded" })
      expect(one).toBe(two)
      const plain = peers.plain("b")
      expect(peers.plain("b")).toBe(plain)
      yield* Scope.close(scope, Exit.void)
      expect(plain instanceof DatabaseSync && plain.isOpen).toBe(false)
      expect((yield* Effect.exit(one`SELECT 1`))._tag).toBe("Failure")
    })
  )
})
