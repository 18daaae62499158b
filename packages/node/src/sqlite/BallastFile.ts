/**
 * The ballast as a file beside the database: full of bytes that no file system makes smaller, removed when the disk is
 * full. Where there is little room to begin with there is none.
 */
import type { Ballast } from "@nerve/runtime/log/Ballast"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { randomBytes } from "node:crypto"
import { closeSync, openSync, renameSync, rmSync, statfsSync, statSync, writeSync } from "node:fs"
import { dirname } from "node:path"

export interface Sizes {
  /** Bytes kept. */
  readonly kept: number
  /** Bytes that must be free before they are kept, so that taking them does not fill the disk. */
  readonly room: number
}

/** Some ten thousand rounds and ends; of the least disk that one would put a workspace on, little. */
export const defaultSizes: Sizes = { kept: 16 * 1024 * 1024, room: 64 * 1024 * 1024 }

const CHUNK = 1024 * 1024

export const pathOf = (file: string): string => `${file}-ballast`

/** The ballast of the database `file`. It is taken by `restore`. `isFull` tells a full disk from other errors. */
export const make = (file: string, sizes: Sizes, isFull: (cause: unknown) => boolean): Ballast => {
  const path = pathOf(file)
  let released = false

  const isThere = () => statSync(path, { throwIfNoEntry: false })?.size === sizes.kept
  const hasRoom = () => {
    const { bavail, bsize } = statfsSync(dirname(path))
    return bavail * bsize >= sizes.room
  }

  /** Under another name first: a file that is only half there would be taken for ballast. */
  const write = () => {
    const fd = openSync(`${path}-new`, "w", 0o600)
    try {
      const chunk = randomBytes(Math.min(CHUNK, sizes.kept))
      for (let left = sizes.kept; left > 0; left -= chunk.length) writeSync(fd, chunk, 0, Math.min(left, chunk.length))
    } finally {
      closeSync(fd)
    }
    renameSync(`${path}-new`, path)
  }

  const remove = () => {
    for (const name of [path, `${path}-new`]) rmSync(name, { force: true })
  }

  return {
    isReleased: () => released,
    release: (error) =>
      Effect.suspend(() => {
        if (!isFull(error) || !isThere()) return Effect.succeed(false)
        if (Result.isFailure(Result.try(remove))) return Effect.succeed(false)
        released = true
        return Effect.as(
          Effect.logWarning(
            `the disk of ${file} is full: what was kept free for it is given up; until there is room, only what threads and the daemon do is recorded`
          ),
          true
        )
      }),
    restore: Effect.suspend(() => {
      if (isThere()) return Effect.succeed(true)
      const room = Result.try(hasRoom)
      if (Result.isFailure(room) || !room.success) return Effect.succeed(!released)
      if (Result.isFailure(Result.try(write))) {
        Result.try(remove)
        return Effect.succeed(!released)
      }
      const wasReleased = released
      released = false
      return Effect.as(
        wasReleased ? Effect.logWarning(`there is room on the disk of ${file} again: all is recorded`) : Effect.void,
        true
      )
    })
  }
}
