/**
 * A payload as it is stored: its JSON text, or, when it is large, a reference to the blob that holds the
 * text. JSON never starts with `@`, so the two cannot be mistaken. Frozen format.
 */

/** `@sha256:` and 64 hexadecimal digits, then the text's length in bytes. */
const referencePattern = /^@sha256:([0-9a-f]{64}):(\d+)$/

export interface BlobReference {
  /** SHA-256 of the text's UTF-8, 64 hexadecimal digits. */
  readonly hash: string
  readonly bytes: number
}

export const isReference = (payload: string): boolean => payload.startsWith("@")

export const formatReference = ({ bytes, hash }: BlobReference): string => `@sha256:${hash}:${bytes}`

/** Undefined for what is no reference. */
export const parseReference = (payload: string): BlobReference | undefined => {
  const [, hash, bytes] = referencePattern.exec(payload) ?? []
  return hash === undefined || bytes === undefined ? undefined : { hash, bytes: Number(bytes) }
}
