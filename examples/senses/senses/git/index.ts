/**
 * Fetches a repository's upstream and says how far the branch that is checked out is behind it.
 */
import { execFile } from "node:child_process"
import { resolve } from "node:path"
import { promisify } from "node:util"
import { Sense } from "@nerve/core"
import * as Schema from "effect/Schema"

const exec = promisify(execFile)

/** A signal quotes so many commits. */
const quoted = 10

export default Sense.make({
  params: Schema.Struct({
    /** Relative to the workspace, or absolute. */
    repository: Schema.String
  }),
  signal: Schema.Struct({
    branch: Schema.String,
    upstream: Schema.String,
    behind: Schema.Int,
    ahead: Schema.Int,
    /** The newest commits that are missing, such as `f3a9c21 Mend the door`. */
    commits: Schema.Array(Schema.String)
  }),
  /** Of the upstream's commit that was told of last. */
  state: { schema: Schema.String, initial: "" },
  compute: async ({ log, params, signal, state, workspace }) => {
    const git = async (...args: ReadonlyArray<string>) => {
      const cwd = resolve(workspace, params.repository)
      // Nobody is there to be asked for a password.
      const env = { ...process.env, GIT_TERMINAL_PROMPT: "0", GIT_SSH_COMMAND: "ssh -oBatchMode=yes" }
      return (await exec("git", args, { cwd, env, signal })).stdout.trim()
    }

    const branch = await git("rev-parse", "--abbrev-ref", "HEAD")
    const upstream = await git("rev-parse", "--abbrev-ref", "@{upstream}").catch(() => undefined)
    if (upstream === undefined) return Sense.skip(`${branch} has no upstream`)

    await git("fetch", "--quiet")
    const newest = await git("rev-parse", "@{upstream}")
    const [ahead = 0, behind = 0] = (await git("rev-list", "--left-right", "--count", "HEAD...@{upstream}"))
      .split(/\s+/)
      .map(Number)
    log("compared", { branch, upstream, ahead, behind })

    const isNews = newest !== state.get()
    state.set(newest)
    if (behind === 0) return Sense.none
    if (!isNews) return Sense.skip(`still ${behind} commits behind ${upstream}`)
    const commits = (await git("log", "--oneline", `--max-count=${quoted}`, "HEAD..@{upstream}")).split("\n")
    return Sense.signal({ branch, upstream, behind, ahead, commits })
  }
})
