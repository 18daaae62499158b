/**
 * Whether a file is still the one that was opened. SQLite goes on writing into a file that was deleted,
 * and what it acknowledges is gone.
 */
import { statSync } from "node:fs"

/** To be called when `path` has just been opened; throws what `stat` throws. The check takes microseconds. */
export const watch = (path: string): (() => boolean) => {
  const opened = statSync(path)
  return () => {
    const now = statSync(path, { throwIfNoEntry: false })
    return now?.ino === opened.ino && now.dev === opened.dev
  }
}
