/**
 * A worker that is any command of the operating system (L1). It is Running when its process has been
 * spawned, and stopped by SIGTERM to its process group, then SIGKILL.
 */
import { logOutput, type Output, spawnedLife } from "./internal/spawnedLife.ts"
import { handoverEnvironment } from "./Handover.ts"
import type { Blueprint } from "./Lifecycle.ts"
import type { Spawner } from "./Spawner.ts"
import * as WorkerSpec from "./WorkerSpec.ts"

export { logOutput, type Output, type OutputLine } from "./internal/spawnedLife.ts"

export interface Options {
  /** Set over the inherited basics; nothing else is inherited. */
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Where its stdout and stderr go, line by line; into the log unless told. */
  readonly output?: Output
  readonly metadata?: { readonly [key: string]: string }
}

/**
 * A worker that is an executable with its arguments; no shell is involved. Its metadata names the
 * executable, not the arguments: those may hold secrets.
 */
export const make = (
  executable: string,
  args: ReadonlyArray<string> = [],
  options: Options = {}
): Blueprint<Spawner> => {
  const { metadata, output, ...rest } = options
  return {
    kind: "command",
    metadata: { command: executable, ...metadata },
    life: (port) =>
      spawnedLife(port, {
        spec: WorkerSpec.command(executable, args, {
          ...rest,
          env: { ...rest.env, ...handoverEnvironment(port.handover) }
        }),
        output: output ?? logOutput
      })
  }
}
