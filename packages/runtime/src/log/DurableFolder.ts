/**
 * A folder of files that are written whole or not at all, and are on the disk when the writer is told
 * so. It is what archive and blob store lie on, and all they know of a file system.
 *
 * A name is a relative path with `/` between its parts. `makeMemory` is a folder in memory, for tests;
 * the real one is `@nerve/node/files/NodeDurableFolder`.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

/** The folder could not do it. Nothing was half done: a file is there as a whole, or as it was. */
export class FolderError extends Schema.TaggedError<FolderError>()("FolderError", {
  /** Path of the file, or of the folder. */
  path: Schema.String,
  /** `missing`: there is no such file. `full`: the disk is full. */
  reason: Schema.Literals(["missing", "not-permitted", "full", "other"]),
  message: Schema.String,
  cause: Schema.Defect()
}) {}

export interface FileSize {
  readonly name: string
  readonly bytes: number
}

export interface DurableFolder {
  /** For messages. */
  readonly path: string
  /** Writes the file; the number of its bytes. One that is there already is replaced, in one step. */
  readonly write: <E>(name: string, content: Stream.Stream<string, E>) => Effect.Effect<number, FolderError | E>
  readonly read: (name: string) => Effect.Effect<Uint8Array, FolderError>
  /** The bytes from `offset` on, at most `length`; fewer at the file's end. */
  readonly readAt: (name: string, offset: number, length: number) => Effect.Effect<Uint8Array, FolderError>
  /** Null when there is no such file. */
  readonly size: (name: string) => Effect.Effect<number | null, FolderError>
  /** All files, sorted by name; what a crashed writer left is not among them. */
  readonly list: Effect.Effect<ReadonlyArray<FileSize>, FolderError>
  /** Nothing happens when it is not there. */
  readonly remove: (name: string) => Effect.Effect<void, FolderError>
  /** Removes what crashed writers left. Only while nobody writes. */
  readonly tidy: Effect.Effect<void, FolderError>
}

/** A folder in memory. `files` is the folder itself, to be looked into and meddled with. */
export const makeMemory = (
  path = "memory",
  files: Map<string, Uint8Array> = new Map()
): DurableFolder & { readonly files: Map<string, Uint8Array> } => {
  const encoder = new TextEncoder()
  const read = (name: string) =>
    Effect.suspend(() => {
      const bytes = files.get(name)
      return bytes === undefined ? Effect.fail(missing(`${path}/${name}`)) : Effect.succeed(bytes)
    })
  return {
    files,
    path,
    write: (name, content) =>
      Effect.map(
        Stream.runFold(
          content,
          () => "",
          (all, chunk) => all + chunk
        ),
        (text) => {
          const bytes = encoder.encode(text)
          files.set(name, bytes)
          return bytes.length
        }
      ),
    read,
    readAt: (name, offset, length) => Effect.map(read(name), (bytes) => bytes.subarray(offset, offset + length)),
    size: (name) => Effect.sync(() => files.get(name)?.length ?? null),
    list: Effect.sync(() =>
      [...files].map(([name, bytes]) => ({ name, bytes: bytes.length })).sort((a, b) => (a.name < b.name ? -1 : 1))
    ),
    remove: (name) => Effect.sync(() => void files.delete(name)),
    tidy: Effect.void
  }
}

const missing = (path: string) =>
  new FolderError({ path, reason: "missing", message: `${path} is not there`, cause: undefined })
