/**
 * The repository: a worktree and a branch for each thread, so that threads do not meet.
 */
import { execFile } from "node:child_process"
import { existsSync } from "node:fs"
import { join, resolve } from "node:path"
import { env } from "node:process"
import { promisify } from "node:util"

const run = promisify(execFile)

export interface Checkout {
  readonly folder: string
  readonly branch: string
}

/** Runs git in a folder; rejects with what it said on stderr. */
export const git = async (folder: string, ...args: ReadonlyArray<string>): Promise<string> => {
  const { stdout } = await run("git", ["-C", folder, ...args], { maxBuffer: 16 * 1024 * 1024 })
  return stdout.trim()
}

/** REPOSITORY, or the one that `prepare.mjs` makes. */
export const repository = (workspace: string): string => resolve(workspace, env["REPOSITORY"] ?? "data/repository")

/** The thread's worktree, made by the first who asks. */
export const checkout = async (workspace: string, threadId: string): Promise<Checkout> => {
  const folder = join(workspace, "data", "worktrees", threadId)
  const branch = `review/${threadId}`
  if (!existsSync(folder))
    await git(repository(workspace), "worktree", "add", "--quiet", "--force", "-B", branch, folder)
  return { folder, branch }
}

/** What the branch changes, against the commit that it left the repository at. */
export const diff = async (workspace: string, { branch, folder }: Checkout): Promise<string> => {
  const base = await git(repository(workspace), "merge-base", "HEAD", branch)
  return git(folder, "diff", `${base}...${branch}`)
}
