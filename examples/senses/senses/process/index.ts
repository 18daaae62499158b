/**
 * Says when a program starts, when it is started anew, and when it runs no more, by the name of its
 * executable.
 */
import { execFile } from "node:child_process"
import { basename } from "node:path"
import { promisify } from "node:util"
import { Sense } from "@nerve/core"
import * as Schema from "effect/Schema"

const exec = promisify(execFile)

const Pids = Schema.Array(Schema.Int)

export default Sense.make({
  params: Schema.Struct({ name: Schema.String }),
  signal: Schema.Struct({ name: Schema.String, running: Pids, started: Pids, ended: Pids }),
  state: { schema: Schema.NullOr(Pids), initial: null },
  compute: async ({ params: { name }, signal, state }) => {
    const running = await pidsOf(name, signal)
    const before = state.get()
    state.set(running)

    const started = running.filter((pid) => before?.includes(pid) !== true)
    const ended = (before ?? []).filter((pid) => !running.includes(pid))
    if (before === null) return Sense.skip(`first look: ${running.length} running`)
    if (started.length + ended.length === 0) return Sense.none
    return Sense.signal({ name, running, started, ended })
  }
})

const pidsOf = async (name: string, signal: AbortSignal): Promise<ReadonlyArray<number>> => {
  const { stdout } = await exec("ps", ["-A", "-o", "pid=,comm="], { signal })
  return stdout.split("\n").flatMap((line) => {
    const [, pid, command] = /^\s*(\d+)\s+(.*)$/.exec(line) ?? []
    return command !== undefined && basename(command.trim()) === name ? [Number(pid)] : []
  })
}
