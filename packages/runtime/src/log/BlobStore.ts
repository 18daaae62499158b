/**
 * Large payloads in files named by their content (D4): written whole, checked when they are read, the
 * same content only once. The log keeps a reference.
 *
 * It owns the files. Which of them the log still needs, `collect` is told.
 */
import * as Digest from "effect/crypto/Digest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { type DurableFolder, type FolderError, makeMemory as makeMemoryFolder } from "./DurableFolder.ts"
import { pass } from "./Boundary.ts"
import type { BlobReference } from "./internal/payload.ts"

/** A blob could not be had. `missing` and `damaged` stay so; `unavailable` is the disk's trouble. */
export class BlobError extends Schema.TaggedError<BlobError>()("BlobError", {
  /** SHA-256 of the content, 64 hexadecimal digits. */
  hash: Schema.String,
  reason: Schema.Literals(["missing", "damaged", "unavailable"]),
  message: Schema.String,
  cause: Schema.Defect()
}) {}

export interface Collected {
  /** Blobs removed, and their bytes. */
  readonly blobs: number
  readonly bytes: number
}

export class BlobStore extends Context.Service<
  BlobStore,
  {
    /**
     * Stores a text; durable on return. It is not collected while the scope is open, so that there is
     * time to record the reference.
     */
    readonly put: (text: string) => Effect.Effect<BlobReference, BlobError, Scope.Scope>
    /** The text, after its hash was checked. */
    readonly get: (reference: BlobReference) => Effect.Effect<string, BlobError>
    /** Removes the blobs that are not `needed`, and of which `isReferenced` says, one by one, that they still are not. */
    readonly collect: <E>(
      needed: ReadonlySet<string>,
      isReferenced: (reference: BlobReference) => Effect.Effect<boolean, E>
    ) => Effect.Effect<Collected, BlobError | E>
    /** Hashes and sizes of all blobs. */
    readonly list: Effect.Effect<ReadonlyArray<BlobReference>, BlobError>
  }
>()("@nerve/runtime/log/BlobStore") {}

/** Two hexadecimal digits per folder: no folder grows beyond what file systems like. */
const nameOf = (hash: string): string => `${hash.slice(0, 2)}/${hash.slice(2)}`

const namePattern = /^([0-9a-f]{2})\/([0-9a-f]{62})$/

export const make = Effect.fnUntraced(function* (
  folder: DurableFolder
): Effect.fn.Return<BlobStore["Service"], never, Scope.Scope> {
  const digest = Context.get(yield* Layer.build(Digest.layerWebCrypto), Digest.Digest)
  // Whoever removes a blob must not meet somebody who has just found it there.
  const lock = yield* Semaphore.make(1)
  const pins = new Map<string, number>()
  const encoder = new TextEncoder()
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true })
  const hashOf = (bytes: Uint8Array) => digest.digestHex(Digest.sha256, bytes)

  const pin = (hash: string) =>
    Effect.acquireRelease(
      Effect.sync(() => pins.set(hash, (pins.get(hash) ?? 0) + 1)),
      () =>
        Effect.sync(() => {
          const left = (pins.get(hash) ?? 1) - 1
          if (left === 0) pins.delete(hash)
          else pins.set(hash, left)
        })
    )

  /** The bytes of a blob that is sound. */
  const read = Effect.fnUntraced(function* ({ bytes: size, hash }: BlobReference) {
    const bytes = yield* Effect.mapError(folder.read(nameOf(hash)), unavailable(hash))
    if (bytes.length === size && (yield* hashOf(bytes)) === hash) return bytes
    return yield* new BlobError({
      hash,
      reason: "damaged",
      message: `${folder.path}/${nameOf(hash)} is damaged: its content is not what its name says`,
      cause: undefined
    })
  })

  const put = Effect.fnUntraced(function* (text: string) {
    const bytes = encoder.encode(text)
    const reference = { hash: yield* hashOf(bytes), bytes: bytes.length }
    const { hash } = reference
    yield* pin(hash)
    yield* Effect.gen(function* () {
      const isThere = yield* Effect.match(read(reference), { onSuccess: () => true, onFailure: () => false })
      // One that is damaged is mended by the way.
      if (!isThere) yield* Effect.mapError(folder.write(nameOf(hash), Stream.succeed(text)), unavailable(hash))
    }).pipe(lock.withPermits(1))
    yield* pass("blob-written")
    return reference
  })

  const list = folder.list.pipe(
    Effect.mapError(unavailable("")),
    Effect.map((files) =>
      files.flatMap(({ bytes, name }) => {
        const [, start, rest] = namePattern.exec(name) ?? []
        return start === undefined || rest === undefined ? [] : [{ hash: start + rest, bytes }]
      })
    )
  )

  const collect = Effect.fnUntraced(function* <E>(
    needed: ReadonlySet<string>,
    isReferenced: (reference: BlobReference) => Effect.Effect<boolean, E>
  ) {
    let blobs = 0
    let bytes = 0
    yield* lock.withPermits(1)(Effect.mapError(folder.tidy, unavailable("")))
    for (const blob of yield* list) {
      if (needed.has(blob.hash)) continue
      const isRemoved = yield* Effect.gen(function* () {
        // Whoever has just put it holds a pin until its reference is in the log.
        if (pins.has(blob.hash) || (yield* isReferenced(blob))) return false
        // Pinned meanwhile: its writer waits for the lock, and finds it gone if we remove it, but why should it.
        if (pins.has(blob.hash)) return false
        yield* Effect.mapError(folder.remove(nameOf(blob.hash)), unavailable(blob.hash))
        return true
      }).pipe(lock.withPermits(1))
      if (!isRemoved) continue
      blobs += 1
      bytes += blob.bytes
      yield* pass("blob-removed")
    }
    return { blobs, bytes }
  })

  return { put, get: (reference) => Effect.map(read(reference), (bytes) => decoder.decode(bytes)), collect, list }
})

/** Blobs in memory, gone with the layer. */
export const layerMemory: Layer.Layer<BlobStore> = Layer.effect(
  BlobStore,
  Effect.suspend(() => make(makeMemoryFolder("blobs")))
)

const unavailable = (hash: string) => (error: FolderError) =>
  new BlobError({
    hash,
    reason: error.reason === "missing" ? "missing" : "unavailable",
    message:
      error.reason === "missing"
        ? `${error.path} is missing: it was deleted, or not copied with the log`
        : error.message,
    cause: error
  })
