/** Migrations (S2): the pure plan, and real files applied to a real database. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import * as FastCheck from "fast-check"
import { rmSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as Migrations from "../../src/sense/Migrations.ts"
import * as MigrationThread from "../../src/sense/MigrationThread.ts"
import { makeWorkspace, writeFiles } from "../user/workspace.ts"

const folder = "senses/cpu/migrations"
const file = (name: string, sql = "") => Migrations.makeFile(name, sql)
const entry = (name: string, sql = "") => ({ name, checksum: file(name, sql).checksum })

describe("Migrations.plan", () => {
  const cases: ReadonlyArray<readonly [string, Parameters<typeof Migrations.plan>, unknown]> = [
    ["nothing", [[], []], []],
    [
      "all of a new database, in lexical order",
      [[file("2.sql"), file("10.sql"), file("1.sql")], []],
      ["1.sql", "10.sql", "2.sql"]
    ],
    ["only what is new", [[file("1.sql"), file("2.sql")], [entry("1.sql")]], ["2.sql"]],
    ["upper case before lower, whatever the locale", [[file("b.sql"), file("C.sql")], []], ["C.sql", "b.sql"]],
    ["a file that vanished", [[file("2.sql")], [entry("1.sql")]], { _tag: "Missing", name: "1.sql" }],
    ["a file that changed", [[file("1.sql", "new")], [entry("1.sql", "old")]], { _tag: "Changed", name: "1.sql" }],
    [
      "a file that came too late",
      [[file("1.sql"), file("2.sql")], [entry("2.sql")]],
      {
        _tag: "Gap",
        name: "1.sql",
        lastApplied: "2.sql"
      }
    ]
  ]
  for (const [name, [files, journal], expected] of cases) {
    it(name, () => {
      const result = Migrations.plan(files, journal)
      expect(Result.isSuccess(result) ? result.success.map((_) => _.name) : result.failure).toEqual(expected)
    })
  }

  const texts = FastCheck.uniqueArray(FastCheck.tuple(FastCheck.string({ minLength: 1 }), FastCheck.string()), {
    selector: ([name]) => name
  })

  it("applied in any number of steps, with files added only at the end, each file is applied once and in order", () => {
    FastCheck.assert(
      FastCheck.property(texts, FastCheck.nat(), (all, cut) => {
        const ordered = all.map(([name, sql]) => file(name, sql)).sort((a, b) => (a.name < b.name ? -1 : 1))
        const first = ordered.slice(0, cut % (ordered.length + 1))
        const before = Result.getOrThrow(Migrations.plan([...first].reverse(), []))
        const after = Result.getOrThrow(Migrations.plan([...ordered].reverse(), before))
        expect([...before, ...after]).toEqual(ordered)
        expect(Result.getOrThrow(Migrations.plan(ordered, ordered))).toEqual([])
      })
    )
  })

  it("any change to an applied file is noticed", () => {
    FastCheck.assert(
      FastCheck.property(texts, FastCheck.nat(), FastCheck.string({ minLength: 1 }), (all, at, extra) => {
        FastCheck.pre(all.length > 0 && !extra.includes("\r") && !extra.includes("\uFEFF"))
        const journal = all.map(([name, sql]) => entry(name, sql))
        const index = at % all.length
        const files = all.map(([name, sql], i) => file(name, i === index ? sql + extra : sql))
        FastCheck.pre(files[index]?.checksum !== journal[index]?.checksum)
        expect(Migrations.plan(files, journal)).toEqual(Result.fail({ _tag: "Changed", name: all[index]?.[0] }))
      })
    )
  })

  it("line ends and a byte order mark are no change", () => {
    expect(file("1.sql", "\uFEFFSELECT 1;\r\nSELECT 2;\r\n").checksum).toBe(
      file("1.sql", "SELECT 1;\nSELECT 2;\n").checksum
    )
  })
})

describe("Migrations.transactionControl", () => {
  const trigger = `CREATE TEMP TRIGGER t AFTER INSERT ON a BEGIN
  UPDATE a SET x = CASE WHEN x THEN 1 ELSE 2 END;
  DELETE FROM a WHERE x = 'COMMIT;';
END;
`
  const harmless = [
    "CREATE TABLE a (x)",
    trigger,
    "-- BEGIN;\n/* COMMIT; */ SELECT ';COMMIT;', \";BEGIN;\", [;END;], `;ROLLBACK;`;",
    "SAVEPOINT s; ROLLBACK TO s; ROLLBACK TRANSACTION TO SAVEPOINT s; RELEASE s",
    "SELECT CASE WHEN 1 THEN 2 END",
    "/* never closed COMMIT;"
  ]
  for (const sql of harmless) {
    it(`lets pass: ${JSON.stringify(sql)}`, () => {
      expect(Migrations.transactionControl(sql)).toBeNull()
    })
  }

  const harmful: ReadonlyArray<readonly [string, string, number]> = [
    ["BEGIN", "BEGIN", 1],
    ["CREATE TABLE a (x);\ncommit;\n", "COMMIT", 2],
    ["SELECT 1;\n-- so\n  /* and */ End Transaction", "END", 3],
    ["SELECT 1;;ROLLBACK;", "ROLLBACK", 1],
    [`${trigger}COMMIT`, "COMMIT", 5],
    ["BEGIN IMMEDIATE; SELECT 1; COMMIT", "BEGIN", 1]
  ]
  for (const [sql, keyword, line] of harmful) {
    it(`finds ${keyword} in ${JSON.stringify(sql)}`, () => {
      expect(Migrations.transactionControl(sql)).toEqual({ keyword, line })
    })
  }
})

describe("Migrations.run", () => {
  /** A workspace with these migrations and an open database. */
  const setUp = (files: Record<string, string>) =>
    Effect.gen(function* () {
      const workspace = yield* makeWorkspace({})
      const database = yield* Effect.acquireRelease(
        Effect.sync(() => new DatabaseSync(join(workspace, "test.db"))),
        (database) => Effect.sync(() => database.close())
      )
      const write = (files: Record<string, string>) =>
        writeFiles(
          workspace,
          Object.fromEntries(Object.entries(files).map(([name, sql]) => [`${folder}/${name}`, sql]))
        )
      write(files)
      return {
        database,
        write,
        remove: (name: string) => rmSync(join(workspace, folder, name)),
        run: Effect.gen(function* () {
          const migrate = yield* MigrationThread.make
          const apply = (file: Migrations.MigrationFile) => migrate(join(workspace, "test.db"), file)
          return yield* Migrations.run({ database, workspace, folder, apply })
        }).pipe(Effect.scoped),
        tables: () =>
          database
            .prepare("SELECT name FROM sqlite_master ORDER BY name")
            .all()
            .map((row) => row.name)
            .filter((name) => !String(name).startsWith("sqlite_"))
      }
    })

  it.live("applies files in lexical order and remembers them; a rerun applies nothing", () =>
    Effect.gen(function* () {
      const test = yield* setUp({
        "002_fill.sql": "INSERT INTO a VALUES (1);\nINSERT INTO a VALUES (2);",
        "001_make.sql": "CREATE TABLE a (x);",
        "notes.txt": "not sql",
        "._001_make.sql": "not sql either"
      })
      expect(yield* test.run).toEqual(["001_make.sql", "002_fill.sql"])
      expect(yield* test.run).toEqual([])
      expect(test.database.prepare("SELECT count(*) AS n FROM a").get()?.n).toBe(2)
      test.write({ "003_more.sql": "INSERT INTO a VALUES (3);" })
      expect(yield* test.run).toEqual(["003_more.sql"])
      const journal = test.database.prepare("SELECT name, checksum, applied_at FROM _nerve_migrations").all()
      expect(journal.map((row) => row.name)).toEqual(["001_make.sql", "002_fill.sql", "003_more.sql"])
      expect(journal.every((row) => /^[0-9a-f]{64}$/.test(String(row.checksum)) && Number(row.applied_at) > 0)).toBe(
        true
      )
    })
  )

  it.live("a sense without migrations needs no folder and gets no journal", () =>
    Effect.gen(function* () {
      const test = yield* setUp({})
      expect(yield* test.run).toEqual([])
      expect(test.tables()).toEqual([])
    })
  )

  it.live("bad SQL is told with the file and SQLite's words; the database stays as the last good one left it", () =>
    Effect.gen(function* () {
      const test = yield* setUp({
        "1.sql": "CREATE TABLE a (x);",
        "2.sql": "CREATE TABLE b (x);\nINSERT INTO a VALUES (1);\nINSERT INTO nowhere VALUES (1);",
        "3.sql": "CREATE TABLE c (x);"
      })
      const problem = yield* Effect.flip(test.run)
      expect(problem).toEqual({
        code: "migration-failed",
        file: `${folder}/2.sql`,
        message: `${folder}/2.sql: no such table: nowhere`,
        hint: ""
      })
      expect(test.tables()).toEqual(["_nerve_migrations", "a"])
      expect(test.database.prepare("SELECT count(*) AS n FROM a").get()?.n).toBe(0)
      expect(test.database.isTransaction).toBe(false)
      test.write({ "2.sql": "CREATE TABLE b (x);" })
      expect(yield* test.run).toEqual(["2.sql", "3.sql"])
    })
  )

  it.live("the first migration failing leaves an empty database", () =>
    Effect.gen(function* () {
      const test = yield* setUp({ "1.sql": "CREATE TABLE a (x); CREATE TABEL b (x);" })
      expect((yield* Effect.flip(test.run)).message).toBe(`${folder}/1.sql: near "TABEL": syntax error`)
      expect(test.tables()).toEqual([])
    })
  )

  it.live("a migration that ends its transaction by itself is refused before it does anything", () =>
    Effect.gen(function* () {
      const test = yield* setUp({ "1.sql": "CREATE TABLE a (x);\nCOMMIT;\nCREATE TABEL b (x);\nBEGIN;" })
      const problem = yield* Effect.flip(test.run)
      expect(problem.code).toBe("migration-failed")
      expect(problem.message).toBe(`${folder}/1.sql:2: COMMIT is not allowed in a migration`)
      expect(test.tables()).toEqual([])
    })
  )

  it.live("an error that rolled back by itself leaves nothing either", () =>
    Effect.gen(function* () {
      const test = yield* setUp({
        "1.sql": "CREATE TABLE a (x UNIQUE); INSERT INTO a VALUES (1); INSERT OR ROLLBACK INTO a VALUES (1);"
      })
      expect((yield* Effect.flip(test.run)).message).toContain("UNIQUE constraint failed: a.x")
      expect(test.tables()).toEqual([])
    })
  )

  it.live("a script that SQLite would read only in part is refused", () =>
    Effect.gen(function* () {
      const test = yield* setUp({ "1.sql": "CREATE TABLE a (x);\0CREATE TABLE b (x);" })
      expect((yield* Effect.flip(test.run)).message).toBe(`${folder}/1.sql contains a NUL character`)
      expect(test.tables()).toEqual([])
    })
  )

  it.live("a changed, a vanished and a late file are told apart, and nothing is applied", () =>
    Effect.gen(function* () {
      const test = yield* setUp({ "1.sql": "CREATE TABLE a (x);", "3.sql": "CREATE TABLE c (x);" })
      yield* test.run
      test.write({ "2.sql": "CREATE TABLE b (x);", "4.sql": "CREATE TABLE d (x);" })
      const gap = yield* Effect.flip(test.run)
      expect(gap).toMatchObject({ code: "migration-gap", file: `${folder}/2.sql` })
      expect(gap.hint).toContain("after 3.sql")
      test.write({ "1.sql": "CREATE TABLE a (x, y);" })
      expect(yield* Effect.flip(test.run)).toMatchObject({
        code: "migration-changed",
        file: `${folder}/1.sql`,
        message: `${folder}/1.sql was changed after it was applied to the database`
      })
      test.remove("1.sql")
      expect(yield* Effect.flip(test.run)).toMatchObject({ code: "migration-missing", file: `${folder}/1.sql` })
      expect(test.tables()).toEqual(["_nerve_migrations", "a", "c"])
    })
  )
})
