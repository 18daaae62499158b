/**
 * `FILE-end`: where the log ended when its last writers were answered. SQLite cuts a damaged write-ahead
 * log off without a word; this file is how the loss is noticed.
 *
 * It is written after each transaction and never synchronised: after a power cut it may tell of an
 * earlier end, which says nothing, never of a later one.
 */
import type { Head } from "@nerve/runtime/log/LogStoreSql"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { hash as digest } from "node:crypto"
import { closeSync, constants, openSync, readFileSync, writeSync } from "node:fs"

/** `none`: there is no file, or an empty one. `damaged`: it does not hold what was written. */
export type End = Head | "none" | "damaged"

export const pathOf = (file: string): string => `${file}-end`

/** Always this long, so that writing it needs no space on a full disk. */
const LENGTH = 64

const checksum = (text: string): string => digest("sha256", text).slice(0, 16)

const format = ({ hash, id }: Head): string => {
  const text = `${id} ${hash}`
  return `${`${text} ${checksum(text)}`.padEnd(LENGTH - 1)}\n`
}

const pattern = /^((\d{1,16}) ([0-9a-f]{16})) ([0-9a-f]{16}) *\n$/

/** Pure. */
export const parse = (content: string): End => {
  if (content === "") return "none"
  const [, text, id, hash, sum] = pattern.exec(content) ?? []
  return text !== undefined && id !== undefined && hash !== undefined && checksum(text) === sum
    ? { id: Number(id), hash }
    : "damaged"
}

/** What the file beside the database `file` says. */
export const read = (file: string): Effect.Effect<End> =>
  Effect.try({ try: () => parse(readFileSync(pathOf(file), "latin1")), catch: () => "none" as const }).pipe(
    Effect.orElseSucceed((): End => "none")
  )

/** Writes the log's end as long as the scope is open. What cannot be written is only not noticed later. */
export const writer = (file: string): Effect.Effect<(head: Head) => void, never, Scope.Scope> =>
  Effect.acquireRelease(
    // Not emptied: until the first transaction it says what it said.
    Effect.sync(() => Result.try(() => openSync(pathOf(file), constants.O_RDWR | constants.O_CREAT, 0o600))),
    (opened) => Effect.sync(() => void Result.map(opened, closeSync))
  ).pipe(
    Effect.map(
      (opened) => (head: Head) => void Result.flatMap(opened, (fd) => Result.try(() => writeSync(fd, format(head), 0)))
    )
  )
