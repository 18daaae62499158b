/** What is different between two states of a database, against what was really done to it. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import { copyFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { diff } from "../../src/sense/DatabaseDiff.ts"
import { makeWorkspace } from "../user/workspace.ts"

const setUp = Effect.gen(function* () {
  const folder = yield* makeWorkspace({})
  const [before, after] = [join(folder, "before.db"), join(folder, "after.db")]
  const change = (file: string, sql: string) => {
    const database = new DatabaseSync(file)
    database.exec(sql)
    database.close()
  }
  return {
    folder,
    compare: (first: string, second: string) => {
      change(before, first)
      copyFileSync(before, after)
      change(after, second)
      return diff(before, after)
    }
  }
})

describe("DatabaseDiff", () => {
  it.live("tells rows that came, changed and went, and the state; what is nerve's own is left out", () =>
    Effect.gen(function* () {
      const { compare } = yield* setUp
      const found = compare(
        `CREATE TABLE t (id INTEGER PRIMARY KEY, x, y); INSERT INTO t VALUES (1, 'a', 1), (2, 'b', NULL), (3, 'c', 3);
         CREATE TABLE same (x); INSERT INTO same VALUES (1); CREATE TABLE gone (x); INSERT INTO gone VALUES (9);
         CREATE TABLE _nerve_state (id INTEGER PRIMARY KEY, value TEXT); INSERT INTO _nerve_state VALUES (1, '{"n":1}')`,
        `DELETE FROM t WHERE id = 1; UPDATE t SET y = 2.5 WHERE id = 2; INSERT INTO t VALUES (4, x'0102', 9007199254740993);
         DROP TABLE gone; CREATE TABLE fresh (x PRIMARY KEY) WITHOUT ROWID; INSERT INTO fresh VALUES ('new');
         UPDATE _nerve_state SET value = '{"n":2}'`
      )
      expect(found).toEqual({
        tables: [
          {
            table: "fresh",
            added: { count: 1, rows: [{ x: "new" }] },
            changed: { count: 0, rows: [] },
            removed: { count: 0, rows: [] }
          },
          {
            table: "gone",
            added: { count: 0, rows: [] },
            changed: { count: 0, rows: [] },
            removed: { count: 1, rows: [{ x: 9 }] }
          },
          {
            table: "t",
            added: { count: 1, rows: [{ id: 4, x: "2 bytes", y: "9007199254740993" }] },
            changed: { count: 1, rows: [{ before: { id: 2, x: "b", y: null }, after: { id: 2, x: "b", y: 2.5 } }] },
            removed: { count: 1, rows: [{ id: 1, x: "a", y: 1 }] }
          }
        ],
        state: { before: { n: 1 }, after: { n: 2 } }
      })
    })
  )

  it.live("counts all and shows a few; names may be anything", () =>
    Effect.gen(function* () {
      const { compare } = yield* setUp
      const name = `"odd ""name"" ; --"`
      const { tables } = compare(
        `CREATE TABLE ${name} ("a b")`,
        `INSERT INTO ${name} WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 1000) SELECT x FROM c`
      )
      expect(tables.map(({ added, table }) => [table, added.count, added.rows.length])).toEqual([
        [`odd "name" ; --`, 1000, 5]
      ])
      expect(tables[0]?.added.rows[0]).toEqual({ "a b": 1 })
    })
  )

  it.live("counts what any two sets of rows differ by, by primary key, composite key and rowid", () =>
    Effect.gen(function* () {
      const { folder } = yield* setUp
      const rows = fc.uniqueArray(
        fc.record({ k: fc.integer({ min: 0, max: 8 }), v: fc.option(fc.integer({ min: 0, max: 2 })) }),
        {
          selector: ({ k }) => k
        }
      )
      const kinds = [
        "CREATE TABLE t (k INTEGER PRIMARY KEY, v)",
        "CREATE TABLE t (k INTEGER, l INTEGER, v, PRIMARY KEY (k, l)) WITHOUT ROWID",
        "CREATE TABLE t (k, v)"
      ]
      let run = 0
      fc.assert(
        fc.property(fc.constantFrom(...kinds), rows, rows, (kind, first, second) => {
          run++
          const files = ([first, second] as const).map((wanted, index) => {
            const file = join(folder, `${run}-${index}.db`)
            const database = new DatabaseSync(file)
            database.exec("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; BEGIN")
            database.exec(kind)
            const insert = database.prepare(
              kind.includes("l INTEGER")
                ? "INSERT INTO t (k, l, v) VALUES (?1, ?1, ?2)"
                : kind.includes("(k, v)")
                  ? "INSERT INTO t (rowid, k, v) VALUES (?1 + 1, ?1, ?2)"
                  : "INSERT INTO t (k, v) VALUES (?1, ?2)"
            )
            for (const { k, v } of wanted) insert.run(k, v)
            database.exec("COMMIT")
            database.close()
            return file
          })
          const [table] = diff(files[0] ?? "", files[1] ?? "").tables
          const old = new Map(first.map(({ k, v }) => [k, v]))
          const now = new Map(second.map(({ k, v }) => [k, v]))
          const common = [...now].filter(([k]) => old.has(k))
          expect([table?.added.count ?? 0, table?.changed.count ?? 0, table?.removed.count ?? 0]).toEqual([
            now.size - common.length,
            common.filter(([k, v]) => old.get(k) !== v).length,
            old.size - common.length
          ])
        }),
        { numRuns: 25 }
      )
    })
  )
})
