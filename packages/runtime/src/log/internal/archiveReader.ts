/**
 * Reads the archive as the log is read: by range of ids, filter, order and limit. A place in a file is
 * found by halving, because lines are in order of id; only what may match is parsed.
 */
import { type LogEntry, type LogQuery, matches } from "@nerve/core/domain/LogEntry"
import * as Effect from "effect/Effect"
import { type DurableFolder, FolderError } from "../DurableFolder.ts"
import { LogStoreError } from "../LogStore.ts"
import { type ArchivedDay, fileName, idOf, parseEntry } from "./archiveFile.ts"
import type { StoredLog } from "./columns.ts"

/** Bytes read at once. */
const BLOCK = 256 * 1024

export interface Range {
  /** Only ids greater than this. */
  readonly after: number
  /** Only ids up to this. */
  readonly upTo: number
  readonly order: "asc" | "desc"
  readonly limit: number
}

/** Turns a row into an entry, its blob looked up. */
export type ToEntry = (row: StoredLog) => Effect.Effect<LogEntry, LogStoreError>

/** Entries of these days (in order of id) that match. */
export const select = Effect.fnUntraced(function* (
  folder: DurableFolder,
  days: ReadonlyArray<ArchivedDay>,
  query: LogQuery,
  range: Range,
  toEntry: ToEntry
): Effect.fn.Return<ReadonlyArray<LogEntry>, LogStoreError> {
  const found: Array<LogEntry> = []
  if (range.limit <= 0) return found
  yield* each(folder, days, query, range, (row) =>
    Effect.map(toEntry(row), (entry) => {
      if (matches(query, entry)) found.push(entry)
      return found.length < range.limit
    })
  )
  return found
})

/** Rows of these days that may match, until `use` says false. The range's limit does not count. */
export const each = Effect.fnUntraced(function* <E>(
  folder: DurableFolder,
  days: ReadonlyArray<ArchivedDay>,
  query: LogQuery,
  range: Range,
  use: (row: StoredLog) => Effect.Effect<boolean, E>
): Effect.fn.Return<void, LogStoreError | E> {
  const may = needles(query)
  let going = true
  for (const day of range.order === "asc" ? days : days.toReversed()) {
    if (!going) return
    if (day.lastId <= range.after || day.firstId > range.upTo) continue
    if (query.since !== undefined && day.until < query.since) continue
    if (query.until !== undefined && day.since >= query.until) continue
    yield* eachLine(folder, day, range, (line) => {
      if (!may.every((needle) => line.includes(needle))) return undefined
      const row = parseEntry(line)
      if (row === undefined) return Effect.fail(damaged(folder, day, `entry ${idOf(line)} cannot be read`))
      return Effect.tap(use(row), (goOn) => Effect.sync(() => (going = goOn)))
    })
  }
})

/** Parts that the line of a matching entry has. */
const needles = ({ refId, source, type }: LogQuery): ReadonlyArray<string> => [
  ...(source === undefined ? [] : [`"source":${JSON.stringify(source)}`]),
  ...(type === undefined ? [] : [`"type":${JSON.stringify(type)}`]),
  ...(refId === undefined ? [] : [`"refId":${JSON.stringify(refId)}`])
]

/** Every line of a day's file in order, header and footer too. */
export const everyLine = <E>(
  folder: DurableFolder,
  name: string,
  use: (line: string) => Effect.Effect<void, E>
): Effect.Effect<void, FolderError | E> =>
  Effect.gen(function* () {
    let offset = 0
    let length = BLOCK
    while (true) {
      const { end, lines, read } = linesOf(yield* folder.readAt(name, offset, length), false)
      for (const line of lines) yield* use(line)
      if (read < length) {
        // What no line break ends: damage, which the caller tells from a line.
        const rest = read - end
        if (rest > 0) yield* use(decoder.decode(yield* folder.readAt(name, offset + end, rest)))
        return
      }
      length = end === 0 ? length * 2 : BLOCK
      offset += end
    }
  })

/** Hands the lines of entries in range to `use`, until it says false. `undefined`: go on. */
const eachLine = <E>(
  folder: DurableFolder,
  day: ArchivedDay,
  range: Range,
  use: Use<E>
): Effect.Effect<void, LogStoreError | E> =>
  Effect.mapError(
    range.order === "asc" ? forwards(folder, day, range, use) : backwards(folder, day, range, use),
    (error) => (error instanceof FolderError ? damaged(folder, day, error.message, error) : error)
  )

type Use<E> = (line: string) => Effect.Effect<boolean, LogStoreError | E> | undefined

const forwards = Effect.fnUntraced(function* <E>(folder: DurableFolder, day: ArchivedDay, range: Range, use: Use<E>) {
  const name = fileName(day.day)
  let { start: offset } = yield* halve(folder, day, range.after)
  let length = BLOCK
  while (true) {
    const { end, lines, read } = linesOf(yield* folder.readAt(name, offset, length), false)
    for (const line of lines) {
      const id = idOf(line)
      if (id === undefined && isEntry(line)) return yield* damaged(folder, day, "a line of it cannot be read")
      if (id === undefined || id <= range.after) continue
      if (id > range.upTo) return
      const going = use(line)
      if (going !== undefined && !(yield* going)) return
    }
    if (read < length) return
    // Not one whole line in it: look at more at once.
    length = end === 0 ? length * 2 : BLOCK
    offset += end
  }
})

const backwards = Effect.fnUntraced(function* <E>(folder: DurableFolder, day: ArchivedDay, range: Range, use: Use<E>) {
  const name = fileName(day.day)
  let { end: offset } = yield* halve(folder, day, range.upTo)
  let length = BLOCK
  while (offset > 0) {
    const from = Math.max(0, offset - length)
    const { lines, start } = linesOf(yield* folder.readAt(name, from, offset - from), from > 0)
    for (const line of lines.reverse()) {
      const id = idOf(line)
      if (id === undefined && isEntry(line)) return yield* damaged(folder, day, "a line of it cannot be read")
      if (id === undefined || id > range.upTo) continue
      if (id <= range.after) return
      const going = use(line)
      if (going !== undefined && !(yield* going)) return
    }
    if (from === 0) return
    length = lines.length === 0 ? length * 2 : BLOCK
    offset = lines.length === 0 ? offset : from + start
  }
})

/**
 * Two places, at most a block or a line apart, with the first entry after `id` between them: every entry
 * before `start` has at most this id, every entry from `end` on a greater one.
 */
const halve = Effect.fnUntraced(function* (folder: DurableFolder, day: ArchivedDay, id: number) {
  let start = 0
  let end = day.bytes
  if (id < day.firstId) return { start, end: start }
  if (id >= day.lastId) return { start: Math.max(0, end - 1), end }
  let length = 4096
  while (end - start > BLOCK) {
    const middle = start + Math.floor((end - start) / 2)
    const block = yield* folder.readAt(fileName(day.day), middle, length)
    const { lines, start: at } = linesOf(block, true)
    const found = lines.length === 0 ? undefined : idOf(lines[0] ?? "")
    if (found === undefined) {
      // A line longer than what was read, or the end of the file: read more, or leave it at this.
      if (middle + length >= end) break
      length *= 2
      continue
    }
    if (middle + at >= end) break
    if (found <= id) start = middle + at
    else end = middle + at
  }
  return { start, end }
})

/** Neither header nor footer, nor the little that is read of a line at the end. */
const isEntry = (line: string): boolean => line !== "" && !line.startsWith('{"nerve":') && !line.startsWith('{"end":')

const decoder = new TextDecoder()
const NEWLINE = 10

/**
 * The whole lines of a block. `start` is where the first of them begins, 0 when there is none; `end` is
 * behind the last one's line break. `cut`: the block begins within a line, which does not count.
 */
const linesOf = (block: Uint8Array, cut: boolean) => {
  const start = cut ? block.indexOf(NEWLINE) + 1 : 0
  const end = block.lastIndexOf(NEWLINE) + 1
  const text = end > start ? decoder.decode(block.subarray(start, end - 1)) : undefined
  return { lines: text === undefined ? [] : text.split("\n"), start, end, read: block.length }
}

const damaged = (folder: DurableFolder, { day }: ArchivedDay, detail: string, cause?: FolderError) =>
  new LogStoreError({
    operation: "query",
    message: `the archived day ${folder.path}/${fileName(day)} is damaged: ${detail}`,
    permanent: cause === undefined || cause.reason === "missing",
    cause
  })
