/**
 * Reads what was added to a log file and says which lines match a pattern. Its state is how far it has read:
 * it is saved together with the signal, so no line is told twice, and none is left out.
 *
 * A file that was rotated (another file has its name) or truncated is read from its beginning.
 */
import { open, stat } from "node:fs/promises"
import { resolve } from "node:path"
import { Sense } from "@nerve/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** What is read at a time; the rest comes with the next compute. */
const maxBytes = 1_000_000
/** A signal quotes so many lines; `count` tells how many there were. */
const quoted = 50

/** Where the next byte to be read is. `inode` tells a file from its successor of the same name. */
const Cursor = Schema.Struct({ inode: Schema.Int, offset: Schema.Int })

export default Sense.make({
  params: Schema.Struct({
    /** Relative to the workspace, or absolute. */
    file: Schema.String,
    /** A regular expression; upper and lower case are the same. */
    pattern: Schema.String
  }),
  signal: Schema.Struct({ file: Schema.String, count: Schema.Int, lines: Schema.Array(Schema.String) }),
  state: { schema: Cursor, initial: { inode: 0, offset: 0 } },
  compute: ({ params: { file, pattern }, state, workspace }) =>
    Effect.gen(function* () {
      const added = yield* Effect.promise(() => readFrom(resolve(workspace, file), state.get()))
      if (added === undefined) return Sense.skip(`there is no ${file}`)
      state.set(added.cursor)

      const matches = new RegExp(pattern, "i")
      const lines = added.lines.filter((line) => matches.test(line))
      yield* Effect.logDebug(`read ${added.lines.length} lines`)
      return lines.length === 0
        ? Sense.none
        : Sense.signal({ file, count: lines.length, lines: lines.slice(0, quoted).map((line) => line.slice(0, 1_000)) })
    })
})

/** The whole lines after the cursor, and where they end. Undefined when there is no such file. */
const readFrom = async (path: string, cursor: typeof Cursor.Type) => {
  const stats = await stat(path).catch(() => undefined)
  if (stats === undefined) return undefined
  const isSame = stats.ino === cursor.inode && stats.size >= cursor.offset
  const offset = isSame ? cursor.offset : 0

  await using handle = await open(path)
  const buffer = Buffer.alloc(Math.min(maxBytes, stats.size - offset))
  const { bytesRead } = await handle.read(buffer, 0, buffer.length, offset)
  const bytes = buffer.subarray(0, bytesRead)
  // The last line may still be being written; one that is longer than what is read at a time is cut.
  const end = bytesRead === maxBytes ? bytes.lastIndexOf(10) + 1 || bytesRead : bytes.lastIndexOf(10) + 1
  const lines = bytes.toString("utf8", 0, end).split("\n").slice(0, -1)
  return { lines, cursor: { inode: stats.ino, offset: offset + end } }
}
