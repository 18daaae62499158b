/** Large payloads by content (D4), over a folder in memory that can be meddled with. */
import { describe, expect, it } from "@effect/vitest"
import * as BlobStore from "@nerve/runtime/log/BlobStore"
import { makeMemory } from "@nerve/runtime/log/DurableFolder"
import { Effect } from "effect"

const make = Effect.gen(function* () {
  const folder = makeMemory("blobs")
  return { folder, blobs: yield* BlobStore.make(folder) }
})

const none = () => Effect.succeed(false)

describe("BlobStore", () => {
  it.effect("gives back what was put, and keeps the same content once", () =>
    Effect.gen(function* () {
      const { blobs, folder } = yield* make
      const text = "ü\ufeff𝄞".repeat(1000)
      const reference = yield* blobs.put(text)
      expect(yield* blobs.put(text)).toEqual(reference)
      expect(yield* blobs.get(reference)).toBe(text)
      expect([...folder.files.keys()]).toEqual([`${reference.hash.slice(0, 2)}/${reference.hash.slice(2)}`])
      expect(yield* blobs.list).toEqual([reference])
    })
  )

  it.effect("says that a blob is gone or damaged, and mends it when the content is put again", () =>
    Effect.gen(function* () {
      const { blobs, folder } = yield* make
      const reference = yield* blobs.put("content")
      const [name] = folder.files.keys()
      for (const bytes of ["contenu", "content ", ""]) {
        folder.files.set(name ?? "", new TextEncoder().encode(bytes))
        expect(yield* Effect.flip(blobs.get(reference))).toMatchObject({ reason: "damaged", hash: reference.hash })
      }
      yield* blobs.put("content")
      expect(yield* blobs.get(reference)).toBe("content")
      folder.files.clear()
      expect(yield* Effect.flip(blobs.get(reference))).toMatchObject({ reason: "missing" })
    })
  )

  it.effect("collects what is not needed, and nothing whose writer has still to record it", () =>
    Effect.gen(function* () {
      const { blobs } = yield* make
      const needed = yield* Effect.scoped(blobs.put("needed"))
      const late = yield* Effect.scoped(blobs.put("recorded since"))
      yield* Effect.scoped(blobs.put("garbage"))
      const isReferenced =
        (hash: string) =>
        ({ hash: other }: { readonly hash: string }) =>
          Effect.succeed(other === hash)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const open = yield* blobs.put("on its way")
          expect(yield* blobs.collect(new Set([needed.hash]), isReferenced(late.hash))).toEqual({ blobs: 1, bytes: 7 })
          expect(yield* blobs.get(open)).toBe("on its way")
        })
      )
      expect((yield* blobs.list).length).toBe(3)
      expect(yield* blobs.collect(new Set([needed.hash]), none)).toEqual({ blobs: 2, bytes: 24 })
      expect(yield* blobs.list).toEqual([needed])
    })
  )
})
