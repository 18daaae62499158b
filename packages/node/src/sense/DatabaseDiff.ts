/**
 * What is different between two states of a sense's database: rows by table, bounded, and the sense's state.
 * Both files are only read.
 */
import type * as Schema from "effect/Schema"
import { DatabaseSync } from "node:sqlite"

/** Rows of each kind that are shown; there may be more. */
const shown = 5

export interface Row {
  readonly [column: string]: Schema.Json
}

export interface TableDiff {
  readonly table: string
  readonly added: { readonly count: number; readonly rows: ReadonlyArray<Row> }
  readonly removed: { readonly count: number; readonly rows: ReadonlyArray<Row> }
  readonly changed: {
    readonly count: number
    readonly rows: ReadonlyArray<{ readonly before: Row; readonly after: Row }>
  }
}

export interface DatabaseDiff {
  /** Tables in which something is different. */
  readonly tables: ReadonlyArray<TableDiff>
  /** The sense's state, null when it is the same; `before` is null when there was none. */
  readonly state: { readonly before: Schema.Json; readonly after: Schema.Json } | null
}

/** Throws what SQLite throws. */
export const diff = (before: string, after: string): DatabaseDiff => {
  const database = new DatabaseSync(after, { readOnly: true })
  try {
    database.prepare("ATTACH ? AS old").run(before)
    return {
      tables: tablesOf(database)
        .map((table) => diffTable(database, table))
        .filter(({ added, changed, removed }) => added.count + changed.count + removed.count > 0),
      state: diffState(database)
    }
  } finally {
    database.close()
  }
}

/** The author's own tables, of either state. Virtual tables keep their rows in tables of their own. */
const tablesOf = (database: DatabaseSync): ReadonlyArray<string> =>
  database
    .prepare(
      `SELECT name FROM (SELECT name, sql FROM main.sqlite_master WHERE type = 'table'
       UNION SELECT name, sql FROM old.sqlite_master WHERE type = 'table')
       WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_nerve\\_%' ESCAPE '\\'
         AND sql NOT LIKE 'CREATE VIRTUAL%' GROUP BY name ORDER BY name`
    )
    .all()
    .map((row) => String(row.name))

interface Column {
  readonly name: string
  readonly isKey: boolean
}

const columnsOf = (database: DatabaseSync, schema: "main" | "old", table: string): ReadonlyArray<Column> =>
  database
    .prepare(`SELECT name, pk FROM pragma_table_info(?, ?)`)
    .all(table, schema)
    .map((row) => ({ name: String(row.name), isKey: Number(row.pk) > 0 }))

const nothing = { count: 0, rows: [] }

const diffTable = (database: DatabaseSync, table: string): TableDiff => {
  const name = quote(table)
  const columns = columnsOf(database, "main", table)
  const earlier = columnsOf(database, "old", table)
  const rows = (from: string) => ({
    count: count(database, `FROM ${from}`),
    rows: select(database, `* FROM ${from} LIMIT ${shown}`).map(toRow)
  })
  if (columns.length === 0) return { table, added: nothing, changed: nothing, removed: rows(`old.${name}`) }
  if (earlier.length === 0) return { table, added: rows(`main.${name}`), changed: nothing, removed: nothing }

  const keys = columns.filter(({ isKey }) => isKey).map((column) => quote(column.name))
  const sameKey = (keys.length === 0 ? ["rowid"] : keys).map((key) => `a.${key} IS b.${key}`).join(" AND ")
  const common = columns.filter((column) => earlier.some((other) => other.name === column.name))
  const differs = common.map((column) => `a.${quote(column.name)} IS NOT b.${quote(column.name)}`).join(" OR ")

  const only = (here: "main" | "old", there: "main" | "old") => {
    const from = `FROM ${here}.${name} a WHERE NOT EXISTS (SELECT 1 FROM ${there}.${name} b WHERE ${sameKey})`
    return { count: count(database, from), rows: select(database, `a.* ${from} LIMIT ${shown}`).map(toRow) }
  }
  const both = `FROM main.${name} a JOIN old.${name} b ON ${sameKey} WHERE ${differs}`
  const pair = common.flatMap((column, index) => [
    `b.${quote(column.name)} AS "b${index}"`,
    `a.${quote(column.name)} AS "a${index}"`
  ])
  return {
    table,
    added: only("main", "old"),
    removed: only("old", "main"),
    changed: {
      count: count(database, both),
      rows: select(database, `${pair.join(", ")} ${both} LIMIT ${shown}`).map((row) => ({
        before: Object.fromEntries(common.map((column, index) => [column.name, toJson(row[`b${index}`])])),
        after: Object.fromEntries(common.map((column, index) => [column.name, toJson(row[`a${index}`])]))
      }))
    }
  }
}

const diffState = (database: DatabaseSync): DatabaseDiff["state"] => {
  const read = (schema: "main" | "old"): Schema.Json => {
    if (columnsOf(database, schema, "_nerve_state").length === 0) return null
    const row = database.prepare(`SELECT value FROM ${schema}._nerve_state`).get()
    return row === undefined ? null : (JSON.parse(String(row.value)) as Schema.Json)
  }
  const [before, after] = [read("old"), read("main")]
  return JSON.stringify(before) === JSON.stringify(after) ? null : { before, after }
}

const select = (database: DatabaseSync, sql: string): ReadonlyArray<Record<string, unknown>> => {
  const statement = database.prepare(`SELECT ${sql}`)
  statement.setReadBigInts(true)
  return statement.all()
}

const count = (database: DatabaseSync, from: string): number =>
  Number(database.prepare(`SELECT count(*) AS n ${from}`).get()?.n)

const toRow = (row: Record<string, unknown>): Row =>
  Object.fromEntries(Object.entries(row).map(([name, value]) => [name, toJson(value)]))

/** What JSON has no form for is shown as text; long texts are cut. */
const toJson = (value: unknown): Schema.Json => {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value)
  if (value instanceof Uint8Array) return `${value.length} bytes`
  const text = String(value)
  return value === null ? null : text.length > 200 ? `${text.slice(0, 200)}…` : text
}

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`
