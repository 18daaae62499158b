/**
 * `DurableFolder` on a real disk. A file is written under another name, synchronised, renamed, and its
 * folder synchronised: a crash or a power cut leaves the whole file or the one that was there before.
 */
import { type DurableFolder, FolderError } from "@nerve/runtime/log/DurableFolder"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Dirent } from "node:fs"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"

/** What an unfinished file is called: no finished one ends so. */
const UNFINISHED = ".unfinished"

/** The folder at `path` (absolute). It is created with the first file. */
export const make = (path: string): DurableFolder => {
  const at = (name: string) => Path.join(path, name)

  const write = <E>(name: string, content: Stream.Stream<string, E>) =>
    Effect.gen(function* () {
      const file = at(name)
      const unfinished = `${file}${UNFINISHED}`
      yield* attempt(Path.dirname(file), () => makeFolder(Path.dirname(file)))
      const bytes = yield* Effect.scoped(
        Effect.gen(function* () {
          const handle = yield* Effect.acquireRelease(
            attempt(unfinished, () => Fs.open(unfinished, "w", 0o600)),
            (handle) => Effect.ignore(attempt(unfinished, () => handle.close()))
          )
          yield* Stream.runForEach(content, (chunk) => attempt(unfinished, () => handle.writeFile(chunk)))
          yield* attempt(unfinished, () => handle.sync())
          return yield* attempt(unfinished, async () => (await handle.stat()).size)
        })
      )
      yield* attempt(file, () => Fs.rename(unfinished, file))
      yield* attempt(Path.dirname(file), () => syncFolder(Path.dirname(file)))
      return bytes
    }).pipe(
      Effect.onError(() => Effect.ignore(attempt(name, () => Fs.rm(`${at(name)}${UNFINISHED}`, { force: true }))))
    )

  const readAt = (name: string, offset: number, length: number) =>
    Effect.acquireUseRelease(
      attempt(at(name), () => Fs.open(at(name), "r")),
      (handle) =>
        attempt(at(name), async () => {
          const buffer = new Uint8Array(length)
          let filled = 0
          while (filled < length) {
            const { bytesRead } = await handle.read(buffer, filled, length - filled, offset + filled)
            if (bytesRead === 0) break
            filled += bytesRead
          }
          return buffer.subarray(0, filled)
        }),
      (handle) => Effect.ignore(attempt(at(name), () => handle.close()))
    )

  const files = attempt(path, () => filesBelow(path))

  return {
    path,
    write,
    read: (name) => attempt(at(name), () => Fs.readFile(at(name))),
    readAt,
    size: (name) =>
      Effect.catchIf(
        attempt(at(name), async (): Promise<number | null> => (await Fs.stat(at(name))).size),
        (error) => error.reason === "missing",
        () => Effect.succeed(null)
      ),
    list: Effect.flatMap(files, (names) =>
      Effect.forEach(
        names.filter((name) => !name.endsWith(UNFINISHED)),
        (name) => attempt(at(name), async () => ({ name, bytes: (await Fs.stat(at(name))).size }))
      )
    ),
    remove: (name) =>
      Effect.andThen(
        attempt(at(name), () => Fs.rm(at(name), { force: true })),
        attempt(path, () => syncFolder(Path.dirname(at(name))))
      ),
    tidy: Effect.flatMap(files, (names) =>
      Effect.forEach(
        names.filter((name) => name.endsWith(UNFINISHED)),
        (name) => attempt(at(name), () => Fs.rm(at(name), { force: true })),
        { discard: true }
      )
    )
  }
}

/** Names relative to `folder`, sorted; none when it is not there. */
const filesBelow = async (folder: string): Promise<ReadonlyArray<string>> => {
  const entries = await Fs.readdir(folder, { withFileTypes: true, recursive: true }).catch(
    (error: unknown): Array<Dirent> => {
      if (codeOf(error) === "ENOENT") return []
      throw error
    }
  )
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => Path.relative(folder, Path.join(entry.parentPath, entry.name)).split(Path.sep).join("/"))
    .sort()
}

/** Makes a folder and those above it; each new one's entry is on the disk afterwards. */
const makeFolder = async (folder: string): Promise<void> => {
  const first = await Fs.mkdir(folder, { recursive: true, mode: 0o700 })
  if (first === undefined) return
  for (let made = folder; ; made = Path.dirname(made)) {
    await syncFolder(Path.dirname(made))
    if (made === first || made === Path.dirname(made)) return
  }
}

/** A rename is durable once the folder is: the name lies in the folder, not in the file. */
const syncFolder = async (folder: string): Promise<void> => {
  const handle = await Fs.open(folder, "r").catch((error: unknown) => {
    // A file of a folder that has gone needs no name in it.
    if (codeOf(error) === "ENOENT") return undefined
    throw error
  })
  if (handle === undefined) return
  await handle.sync().finally(() => handle.close())
}

const attempt = <A>(path: string, f: () => Promise<A>): Effect.Effect<A, FolderError> =>
  Effect.tryPromise({
    try: f,
    catch: (cause) =>
      new FolderError({
        path,
        reason: reasonOf(codeOf(cause)),
        message: cause instanceof Error ? cause.message : String(cause),
        cause
      })
  })

const codeOf = (error: unknown): unknown =>
  typeof error === "object" && error !== null && "code" in error ? error.code : undefined

const reasonOf = (code: unknown): FolderError["reason"] => {
  switch (code) {
    case "ENOENT":
      return "missing"
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return "not-permitted"
    case "ENOSPC":
    case "EDQUOT":
      return "full"
    default:
      return "other"
  }
}
