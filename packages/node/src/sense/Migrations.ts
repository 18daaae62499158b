/**
 * Brings a sense's database up to date (S2): `senses/<name>/migrations/*.sql` in lexical order, each
 * file and its entry in the journal table in one transaction. What was applied must stay as it was;
 * `plan` says so without touching a database.
 */
import type { Problem } from "@nerve/core/domain/Problem"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { createHash } from "node:crypto"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import type { DatabaseSync } from "node:sqlite"
import type { ToApply } from "./applyMigration.ts"

/** A migration as it is on disk; its line ends are plain. */
export type MigrationFile = ToApply

/** A migration as the journal remembers it. */
export interface JournalEntry {
  readonly name: string
  readonly checksum: string
}

/** Why the files do not fit the journal. */
export type Misfit =
  | { readonly _tag: "Missing"; readonly name: string }
  | { readonly _tag: "Changed"; readonly name: string }
  | { readonly _tag: "Gap"; readonly name: string; readonly lastApplied: string }

/**
 * The files still to be applied, in order; or the first misfit: an applied file that vanished, one
 * that was changed, or a new one that sorts before one applied already. Pure.
 */
export const plan = (
  files: ReadonlyArray<MigrationFile>,
  journal: ReadonlyArray<JournalEntry>
): Result.Result<ReadonlyArray<MigrationFile>, Misfit> => {
  const ordered = [...files].sort((a, b) => lexical(a.name, b.name))
  const applied = [...journal].sort((a, b) => lexical(a.name, b.name))
  const present = new Map(ordered.map((file) => [file.name, file]))
  for (const { checksum, name } of applied) {
    const file = present.get(name)
    if (file === undefined) return Result.fail({ _tag: "Missing", name })
    if (file.checksum !== checksum) return Result.fail({ _tag: "Changed", name })
  }
  const done = new Set(applied.map((entry) => entry.name))
  const pending = ordered.filter((file) => !done.has(file.name))
  const lastApplied = applied.at(-1)?.name
  const first = pending[0]
  return lastApplied !== undefined && first !== undefined && lexical(first.name, lastApplied) < 0
    ? Result.fail({ _tag: "Gap", name: first.name, lastApplied })
    : Result.succeed(pending)
}

/** A migration of this text. */
export const makeFile = (name: string, sql: string): MigrationFile => {
  // A checkout that turns line ends around must not look like a change.
  const text = sql.replace(/^\uFEFF/, "").replaceAll("\r\n", "\n")
  return { name, sql: text, checksum: createHash("sha256").update(text).digest("hex") }
}

/**
 * Applies what is pending; the names applied. On a problem the database is as the last good
 * migration left it. `folder` is relative to the workspace, and need not exist.
 */
export const run = Effect.fnUntraced(function* (options: {
  /** To look at the journal. */
  readonly database: DatabaseSync
  readonly workspace: string
  readonly folder: string
  /** Applies one file with its journal entry, or leaves the database as it was and says why. */
  readonly apply: (file: MigrationFile) => Effect.Effect<void, string>
}): Effect.fn.Return<ReadonlyArray<string>, Problem> {
  const { database, folder, workspace } = options
  const files = yield* read(join(workspace, folder), folder)
  const journal = yield* readJournal(database, folder)
  const pending = yield* Effect.fromResult(Result.mapError(plan(files, journal), (misfit) => describe(misfit, folder)))
  for (const file of pending) {
    const path = `${folder}/${file.name}`
    yield* check(file, path)
    yield* Effect.mapError(options.apply(file), (message) => failed(path, `${path}: ${message}`))
  }
  return pending.map((file) => file.name)
})

/**
 * The first word in a script that would end or begin a transaction of its own, with its line; null
 * when there is none. `BEGIN … END` of a trigger is none, and neither is `ROLLBACK TO` a savepoint.
 */
export const transactionControl = (sql: string): { readonly keyword: string; readonly line: number } | null => {
  let statement: ReadonlyArray<string> = []
  let inTrigger = false
  for (const token of sql.matchAll(tokens)) {
    const [text] = token
    if (text === ";") {
      if (inTrigger && statement[0] === "END") inTrigger = false
      statement = []
      continue
    }
    if (!/^[A-Za-z_]/.test(text) || statement.length >= 4) continue
    statement = [...statement, text.toUpperCase()]
    if (/^CREATE (TEMP |TEMPORARY )?TRIGGER$/.test(statement.join(" "))) inTrigger = true
    const [keyword] = statement
    if (statement.length > 1 || inTrigger || keyword === undefined) continue
    const isControl =
      keyword === "BEGIN" ||
      keyword === "COMMIT" ||
      keyword === "END" ||
      (keyword === "ROLLBACK" && !/^(\s+TRANSACTION)?\s+TO\b/i.test(sql.slice(token.index + text.length)))
    if (isControl) return { keyword, line: sql.slice(0, token.index).split("\n").length }
  }
  return null
}

/** What matters of SQL's grammar here: comments and quoted text are one token, and words, and `;`. */
const tokens =
  /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[A-Za-z_][\w$]*|;/g

/** What SQLite would take, and yet not apply as a whole. */
const check = (file: MigrationFile, path: string): Effect.Effect<void, Problem> => {
  const control = transactionControl(file.sql)
  if (control !== null) {
    return Effect.fail(
      failed(
        path,
        `${path}:${control.line}: ${control.keyword} is not allowed in a migration`,
        "Each migration runs in a transaction of its own: leave out BEGIN, COMMIT and ROLLBACK."
      )
    )
  }
  // SQLite would stop reading there and call the rest applied.
  return file.sql.includes("\0") ? Effect.fail(failed(path, `${path} contains a NUL character`)) : Effect.void
}

const read = (directory: string, folder: string): Effect.Effect<ReadonlyArray<MigrationFile>, Problem> =>
  Effect.try({
    try: () => names(directory).map((name) => makeFile(name, readFileSync(join(directory, name), "utf8"))),
    catch: (error) => failed(folder, `${folder} cannot be read: ${text(error)}`)
  })

const names = (directory: string): ReadonlyArray<string> =>
  existsSync(directory)
    ? readdirSync(directory, { withFileTypes: true })
        .filter((entry) => !entry.isDirectory() && entry.name.endsWith(".sql") && !entry.name.startsWith("."))
        .map((entry) => entry.name)
    : []

const readJournal = (database: DatabaseSync, folder: string): Effect.Effect<ReadonlyArray<JournalEntry>, Problem> =>
  Effect.try({
    try: () => {
      const table = database.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_nerve_migrations'")
      if (table.get() === undefined) return []
      return database
        .prepare("SELECT name, checksum FROM _nerve_migrations")
        .all()
        .map((row) => ({ name: String(row.name), checksum: String(row.checksum) }))
    },
    catch: (error) => failed(folder, `the journal of ${folder} cannot be read: ${text(error)}`)
  })

const describe = (misfit: Misfit, folder: string): Problem => {
  const file = `${folder}/${misfit.name}`
  switch (misfit._tag) {
    case "Missing":
      return {
        code: "migration-missing",
        message: `${file} was applied to the database but is no longer there`,
        file,
        hint: "Restore the file; undo what it did in a new migration if need be."
      }
    case "Changed":
      return {
        code: "migration-changed",
        message: `${file} was changed after it was applied to the database`,
        file,
        hint: "Restore the file as it was, and put the change into a new migration."
      }
    case "Gap":
      return {
        code: "migration-gap",
        message: `${file} sorts before ${misfit.lastApplied}, which is applied already`,
        file,
        hint: `Rename it so that it sorts after ${misfit.lastApplied}.`
      }
  }
}

const failed = (file: string, message: string, hint = ""): Problem => ({
  code: "migration-failed",
  message,
  file,
  hint
})

/** By code units, so that every machine agrees whatever its locale. */
const lexical = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

const text = (error: unknown): string => (error instanceof Error ? error.message : String(error))
