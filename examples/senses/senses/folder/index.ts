/**
 * Says which files below a folder came, went or changed since the last look.
 */
import { lstat, readdir } from "node:fs/promises"
import { join, relative, resolve, sep } from "node:path"
import { Sense } from "@nerve/core"
import * as Schema from "effect/Schema"

/** A signal names so many files of each kind; `count` tells how many there are. */
const named = 20

const Files = Schema.Struct({ count: Schema.Int, files: Schema.Array(Schema.String) })

export default Sense.make({
  params: Schema.Struct({
    /** Relative to the workspace, or absolute. */
    path: Schema.String,
    /** Names of folders that are left out. */
    ignore: Schema.optionalKey(Schema.Array(Schema.String))
  }),
  signal: Schema.Struct({ path: Schema.String, added: Files, changed: Files, removed: Files }),
  tables: {
    files: Schema.Struct({ path: Schema.String, size: Schema.Int, changed_at: Schema.Finite })
  },
  /** Whether there was a look already: an empty table may be that of an empty folder. */
  state: { schema: Schema.Boolean, initial: false },
  compute: async ({ db, params: { ignore = [], path }, signal, state, workspace }) => {
    const now = await look(resolve(workspace, path), ignore, signal)
    const before = new Map(
      db
        .prepare("SELECT path, size, changed_at FROM files")
        .all()
        .map((row) => [String(row["path"]), `${row["size"]} ${row["changed_at"]}`])
    )

    const added = [...now.keys()].filter((file) => !before.has(file))
    const removed = [...before.keys()].filter((file) => !now.has(file))
    const changed = [...now].flatMap(([file, { changedAt, size }]) =>
      before.has(file) && before.get(file) !== `${size} ${changedAt}` ? [file] : []
    )
    const isFirst = !state.get()
    state.set(true)
    if (added.length + removed.length + changed.length === 0) return Sense.none

    const remove = db.prepare("DELETE FROM files WHERE path = ?")
    for (const file of removed) remove.run(file)
    const save = db.prepare("INSERT OR REPLACE INTO files (path, size, changed_at) VALUES (?, ?, ?)")
    for (const file of [...added, ...changed]) {
      const found = now.get(file)
      if (found !== undefined) save.run(file, found.size, found.changedAt)
    }

    if (isFirst) return Sense.skip(`first look: ${added.length} files`)
    return Sense.signal({ path, added: summary(added), changed: summary(changed), removed: summary(removed) })
  }
})

const summary = (files: ReadonlyArray<string>): typeof Files.Type => ({
  count: files.length,
  files: files.toSorted().slice(0, named)
})

interface Found {
  readonly size: number
  /** Milliseconds since the Unix epoch, with fractions. */
  readonly changedAt: number
}

const look = async (
  root: string,
  ignore: ReadonlyArray<string>,
  signal: AbortSignal
): Promise<ReadonlyMap<string, Found>> => {
  const found = new Map<string, Found>()
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    signal.throwIfAborted()
    const file = relative(root, join(entry.parentPath, entry.name))
    if (!entry.isFile() || file.split(sep).some((part) => ignore.includes(part))) continue
    const stats = await lstat(join(root, file)).catch(() => undefined)
    // Gone since it was listed.
    if (stats !== undefined) found.set(file, { size: stats.size, changedAt: stats.mtimeMs })
  }
  return found
}
