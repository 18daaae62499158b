/**
 * Notices that sources of a workspace have changed. What the system reports of a folder is only a hint
 * to look again; what counts is the difference between two looks (`Sources`). So it does not matter how
 * an editor saves, what is deleted and comes back, or which reports get lost.
 *
 * It owns one system watch per folder. Where that fails (no watches left, a file system that has none)
 * it looks every second until it works again.
 */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type { Scope } from "effect/Scope"
import type { Watch } from "@nerve/core/config/NerveConfig"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { Workspace } from "../daemon/Workspace.ts"
import * as Sources from "./Sources.ts"

/** Two looks. */
export interface Change {
  readonly before: Sources.Snapshot
  readonly after: Sources.Snapshot
}

export interface FileWatch {
  /**
   * Waits until sources have changed and come to rest. What has changed between two calls, or while
   * nobody called, is not missed. One caller at a time.
   */
  readonly next: Effect.Effect<Change>
  /** What has changed since the last look, if anything, without waiting for rest. Not beside `next`. */
  readonly now: Effect.Effect<Change>
  /** Looks again, whatever the mode. */
  readonly hint: () => void
}

/** Watches one folder, not what is beneath; returns how to end it. Throws when that is not possible. */
export type WatchFolder = (
  folder: string,
  on: { readonly changed: (event: string, name: string | null) => void; readonly failed: (error: unknown) => void }
) => () => void

export interface Options {
  readonly workspace: Workspace
  /** Asked before each wait. */
  readonly mode: () => Watch
  /** Told when it begins to poll for want of system watches. Not in mode `poll`, where that is wanted. */
  readonly onDegraded?: (reason: string) => void
  /** `fs.watch` unless told. */
  readonly watchFolder?: WatchFolder
}

/** How often to look where the system reports nothing. */
const pollMs = 1_000

/** Reports may get lost (a full event queue, a mount of another machine): a look now and then finds what did. */
const seldomMs = 30_000

/** Reports within this time lead to one look. */
const gatherMs = 25

/** Content is at rest when it is the same after this time. */
const restMs = 100

/** Something empty or gone is waited for this often: whoever saves in steps needs a moment. */
const halfWayRounds = 10

/** A file that is written on and on is taken as it is after this many looks. */
const maxRounds = 50

/** `fs.watch`. */
export const systemWatch: WatchFolder = (folder, on) => {
  const watcher = Fs.watch(folder, { persistent: false })
  watcher.on("change", (event, name) => on.changed(event, typeof name === "string" ? name : null))
  watcher.on("error", on.failed)
  return () => watcher.close()
}

/** A watch on the workspace as it is now. Closing the scope ends it. */
export const make = Effect.fn("FileWatch.make")(function* (
  options: Options
): Effect.fn.Return<FileWatch, never, Scope> {
  const { mode, workspace } = options
  const watchFolder = options.watchFolder ?? systemWatch
  const hinted = Latch.makeUnsafe(false)
  const watches = new Map<string, () => void>()
  /** Paths that were replaced: whoever watches them or what is beneath watches something else by now. */
  const replaced = new Set<string>()
  let degraded = false
  let current = Sources.empty

  const hint = () => {
    hinted.openUnsafe()
  }

  const end = (folder: string) => {
    watches.get(folder)?.()
    watches.delete(folder)
  }

  const begin = (folder: string): string | undefined => {
    try {
      watches.set(
        folder,
        watchFolder(folder, {
          changed: (event, name) => {
            if (event === "rename") {
              replaced.add(folder)
              if (name !== null) replaced.add(Path.join(folder, name))
            }
            hint()
          },
          failed: () => {
            end(folder)
            hint()
          }
        })
      )
      return undefined
    } catch (error) {
      return `${folder}: ${error instanceof Error ? error.message : String(error)}`
    }
  }

  const isReplaced = (folder: string): boolean => {
    for (let path = folder; ; path = Path.dirname(path)) {
      if (replaced.has(path)) return true
      if (path === Path.dirname(path)) return false
    }
  }

  /** Watches what there is to watch; true when there was something new, which may have changed before. */
  const rewire = (snapshot: Sources.Snapshot): boolean => {
    const wanted = mode() === "auto" ? snapshot.folders : new Set<string>()
    for (const folder of [...watches.keys()]) if (!wanted.has(folder) || isReplaced(folder)) end(folder)
    replaced.clear()
    const missing = [...wanted].filter((folder) => !watches.has(folder))
    const failures = missing.flatMap((folder) => begin(folder) ?? [])
    const before = degraded
    degraded = failures.length > 0
    if (degraded && !before) options.onDegraded?.(failures[0] ?? "")
    return missing.length > failures.length
  }

  /** Looks until there is nothing new to watch. */
  const look = Effect.fnUntraced(function* (before: Sources.Snapshot) {
    let snapshot = yield* Sources.look(workspace, before)
    // A folder that is replaced over and over must not hold this up for ever.
    for (let round = 0; round < maxRounds && rewire(snapshot); round++) {
      snapshot = yield* Sources.look(workspace, snapshot)
    }
    return snapshot
  })

  /** Looks until two looks agree. */
  const lookAtRest = Effect.gen(function* () {
    let last = yield* look(current)
    if (Sources.differences(current, last).length === 0) return last
    for (let round = 0; round < maxRounds; round++) {
      yield* Effect.sleep(restMs)
      const next = yield* look(last)
      const same = Sources.differences(last, next).length === 0
      last = next
      if (same && (round >= halfWayRounds || !Sources.isHalfWay(current, last))) break
    }
    return last
  })

  const wait = Effect.suspend(() => {
    switch (mode()) {
      case "auto":
        return Effect.asVoid(Effect.timeoutOption(hinted.await, degraded ? pollMs : seldomMs))
      case "poll":
        return Effect.asVoid(Effect.timeoutOption(hinted.await, pollMs))
      case "never":
        return hinted.await
    }
  })

  const take = (after: Sources.Snapshot): Change => {
    const before = current
    current = after
    return { before, after }
  }

  const next = Effect.gen(function* () {
    while (true) {
      yield* wait
      // One save is several reports; and somebody who writes all the time must not keep the daemon looking.
      yield* Effect.sleep(gatherMs)
      hinted.closeUnsafe()
      const change = take(yield* lookAtRest)
      if (Sources.differences(change.before, change.after).length > 0) return change
    }
  })

  yield* Effect.addFinalizer(() => Effect.sync(() => [...watches.keys()].forEach(end)))
  current = yield* look(current)
  return {
    next,
    now: Effect.map(
      Effect.suspend(() => look(current)),
      take
    ),
    hint
  }
})
