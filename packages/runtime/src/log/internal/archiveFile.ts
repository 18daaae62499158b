/**
 * A day's file in the archive: JSON lines, one entry each, between a header and a footer. Frozen format.
 *
 * Not compressed: any tool can read it, a line can be found by its place, and a flipped bit costs one
 * entry. The hash chain goes through it; the footer's seal covers header and footer themselves.
 */
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Chain from "./chain.ts"
import type { StoredLog } from "./columns.ts"
import { isReference } from "./payload.ts"

const Header = Schema.Struct({
  nerve: Schema.Literal("archive"),
  version: Schema.Literal(1),
  /** `2026-02-28`, UTC. */
  day: Schema.String,
  firstId: Schema.Int,
  /** The chain's hash before the first entry. */
  before: Schema.String
})

const Footer = Schema.Struct({
  end: Schema.Literal(true),
  lastId: Schema.Int,
  entries: Schema.Int,
  /** Least and greatest timestamp. */
  since: Schema.Int,
  until: Schema.Int,
  /** The chain's hash after the last entry. */
  hash: Schema.String,
  seal: Schema.String
})

/** What is known of an archived day. */
export interface ArchivedDay {
  /** `2026-02-28`, UTC. */
  readonly day: string
  readonly firstId: number
  readonly lastId: number
  /** Least and greatest timestamp in it. */
  readonly since: number
  readonly until: number
  readonly entries: number
  readonly bytes: number
  /** The chain's hash before the first and after the last entry. */
  readonly before: string
  readonly hash: string
}

export const fileName = (day: string): string => `${day}.jsonl`

export const headerLine = ({ before, day, firstId }: Pick<ArchivedDay, "before" | "day" | "firstId">): string =>
  JSON.stringify({ nerve: "archive", version: 1, day, firstId, before } satisfies typeof Header.Type)

export const footerLine = (header: string, day: Omit<ArchivedDay, "bytes">): string => {
  const { entries, hash, lastId, since, until } = day
  const seal = Chain.seal(`${header}\n${lastId} ${entries} ${since} ${until} ${hash}`)
  return JSON.stringify({ end: true, lastId, entries, since, until, hash, seal } satisfies typeof Footer.Type)
}

/** The payload comes last and as it is stored; a reference to a blob goes by another name. */
export const entryLine = (row: StoredLog): string => {
  const { hash, id, payload, refId, round, source, timestamp, type } = row
  const start = JSON.stringify({ id, source, type, refId, round, timestamp, hash })
  const rest = isReference(payload) ? `"blob":${JSON.stringify(payload)}` : `"payload":${payload}`
  return `${start.slice(0, -1)},${rest}}`
}

const Line = Schema.Struct({
  id: Schema.Int,
  source: Schema.String,
  type: Schema.String,
  refId: Schema.NullOr(Schema.String),
  round: Schema.NullOr(Schema.Int),
  timestamp: Schema.Int,
  hash: Schema.String,
  payload: Schema.optionalKey(Schema.Json),
  blob: Schema.optionalKey(Schema.String)
})

const decodeLine = Schema.decodeUnknownOption(Line)
const decodeHeader = Schema.decodeUnknownOption(Header)
const decodeFooter = Schema.decodeUnknownOption(Footer)

const parseJson = (text: string): Option.Option<unknown> =>
  Result.getSuccess(Result.try((): unknown => JSON.parse(text)))

/** The entry of a line; undefined when it cannot be read. */
export const parseEntry = (line: string): StoredLog | undefined => {
  const decoded = Option.getOrUndefined(Option.flatMap(parseJson(line), decodeLine))
  if (decoded === undefined) return undefined
  const { blob, payload, ...row } = decoded
  return { ...row, payload: blob ?? JSON.stringify(payload ?? null) }
}

/** As `parseEntry`, and each character of the line is as it was written. */
export const parseEntryExactly = (line: string): StoredLog | undefined => {
  const row = parseEntry(line)
  return row !== undefined && entryLine(row) === line ? row : undefined
}

export const parseHeader = (line: string): Option.Option<typeof Header.Type> =>
  Option.filter(Option.flatMap(parseJson(line), decodeHeader), (header) => headerLine(header) === line)

/** The footer, if it belongs to this header. */
export const parseFooter = (header: string, line: string): Option.Option<typeof Footer.Type> =>
  Option.filter(
    Option.flatMap(parseJson(line), decodeFooter),
    // What the footer does not hold does not matter here.
    (footer) => footerLine(header, { ...footer, day: "", firstId: 0, before: "" }) === line
  )

const idPattern = /^\{"id":(\d+),/

/** The id at the beginning of an entry's line; undefined for header, footer and what is damaged. */
export const idOf = (line: string): number | undefined => {
  const digits = idPattern.exec(line)?.[1]
  return digits === undefined ? undefined : Number(digits)
}
