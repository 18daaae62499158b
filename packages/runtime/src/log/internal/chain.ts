/**
 * The hash chain of the log: each row's hash covers the hash before it and the row's own content.
 *
 * It finds damage (a flipped bit, a lost or reordered row), not tampering: whoever can write the file
 * can compute the chain anew. A cryptographic digest would cost several times as much per row and buy
 * nothing more. The text hashed and the hash itself are a frozen format: they are stored.
 */

/** What a row's hash covers. `payload` is the JSON text as it is stored. */
export interface ChainedRow {
  readonly id: number
  readonly source: string
  readonly type: string
  readonly refId: string | null
  readonly round: number | null
  readonly payload: string
  readonly timestamp: number
}

/** The hash before the first row. */
export const GENESIS = "0000000000000000"

/** Hash of a row that follows a row with hash `previous`: 16 hexadecimal digits. */
export const next = (previous: string, row: ChainedRow): string =>
  // No text column holds a NUL (`prepare` sees to that) and JSON text escapes it, so it separates.
  hash64(
    `${previous}\0${row.id}\0${row.source}\0${row.type}\0${row.refId === null ? "" : `=${row.refId}`}\0${
      row.round ?? ""
    }\0${row.timestamp}\0${row.payload}`
  )

/** Hash of a text that is not in the chain: 16 hexadecimal digits. */
export const seal = (text: string): string => hash64(text)

/**
 * 64 bits in two multiply-xor lanes, mixed at the end. Every step is a bijection of its lane, so one
 * changed character always changes the hash. Effect's `Hash` is 30 bits wide and free to change.
 */
const hash64 = (text: string): string => {
  let a = 0x2c1b3c6d
  let b = 0x297a2d39
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    a = Math.imul(a ^ unit, 0x9e3779b1)
    b = Math.imul(b ^ unit, 0x5f356495)
    // Multiplying moves bits upwards only; this brings the high ones down again.
    a ^= a >>> 15
    b ^= b >>> 13
  }
  a = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35)
  b = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35)
  return hex(b) + hex(a)
}

/** Two digits for each byte: putting four together takes a third of the time of `toString(16)`. */
const BYTES = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"))

const hex = (lane: number): string =>
  `${BYTES[lane >>> 24]}${BYTES[(lane >>> 16) & 0xff]}${BYTES[(lane >>> 8) & 0xff]}${BYTES[lane & 0xff]}`
