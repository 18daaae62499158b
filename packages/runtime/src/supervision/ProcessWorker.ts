/**
 * A worker that is a process which speaks the protocol (L1): an ES module that says `export default
 * Worker.serve(group, handlers)`, or an executable in another language.
 * It is Running when it says so over its channel, and asked over it to stop before signals are used. One
 * that hangs, or takes more memory than it may, is killed: an end like any other to its supervisor.
 *
 * This is for processes whose work is to be there. Where they are called, by key, use `WorkerRuntime`.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import * as memoryWatch from "./internal/memoryWatch.ts"
import * as pulse from "./internal/pulse.ts"
import { logOutput, type Output, spawnedLife } from "./internal/spawnedLife.ts"
import { handoverEnvironment } from "./Handover.ts"
import type { Blueprint } from "./Lifecycle.ts"
import type { Spawner } from "./Spawner.ts"
import * as WorkerSpec from "./WorkerSpec.ts"

export type { Output, OutputLine } from "./internal/spawnedLife.ts"

/** How often it is asked whether it still works, and how long it may be silent. */
export type HeartbeatOptions = Omit<pulse.Options, "while">

interface Common extends Pick<memoryWatch.Options, "memoryHardLimit" | "rss" | "rssEvery"> {
  /** Set over the inherited basics; nothing else is inherited. */
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Sent to the worker before it is ready; `Worker.init` yields it there. */
  readonly init?: Schema.Json
  /** From spawn to `ready`; 10 seconds unless told. Then it is killed. */
  readonly readyTimeout?: Duration.Input
  /** Asks it every 5 seconds, and kills it when it was silent for 30 (`hung: …`), unless told; false: never. */
  readonly heartbeat?: HeartbeatOptions | false
  /** Where its output and what it logs go, line by line; into the log unless told. */
  readonly output?: Output
  readonly metadata?: { readonly [key: string]: string }
}

export interface Options extends Common, WorkerSpec.NodeLimits {
  readonly args?: ReadonlyArray<string>
}

export interface CommandOptions extends Common {
  /** Where it speaks the protocol; on descriptor 3 unless told. */
  readonly transport?: WorkerSpec.Transport
}

/** A worker whose code is an ES module, TypeScript or JavaScript. */
export const make = (module: URL | string, options: Options = {}): Blueprint<Spawner> =>
  watched(options, { module: String(module) }, (env) => {
    const { args, cwd, heapSizeMb, init, permissions } = options
    return WorkerSpec.module(module, {
      env,
      heapSizeMb,
      permissions,
      ...(args && { args }),
      ...(cwd !== undefined && { cwd }),
      ...(init !== undefined && { init })
    })
  })

/**
 * A worker that is an executable in any language which speaks the protocol (docs/ipc.md), watched as a module
 * is. One that does not speak it is a `CommandWorker`.
 */
export const command = (
  executable: string,
  args: ReadonlyArray<string> = [],
  options: CommandOptions = {}
): Blueprint<Spawner> =>
  watched(options, { command: executable }, (env) => {
    const { cwd, init, transport } = options
    return WorkerSpec.command(executable, args, {
      env,
      ...(transport && { transport }),
      ...(cwd !== undefined && { cwd }),
      ...(init !== undefined && { init })
    })
  })

const watched = (
  options: Common,
  what: { readonly [key: string]: string },
  specOf: (env: Readonly<Record<string, string>>) => WorkerSpec.WorkerSpec
): Blueprint<Spawner> => {
  const watch = {
    readyTimeoutMs: Duration.toMillis(Duration.fromInputUnsafe(options.readyTimeout ?? "10 seconds")),
    heartbeat: pulse.settingsOf(options.heartbeat, "always"),
    memory: memoryWatch.limitsOf(options)
  }
  return {
    kind: "process",
    metadata: { ...what, ...options.metadata },
    life: (port) =>
      spawnedLife(port, {
        spec: specOf({ ...options.env, ...handoverEnvironment(port.handover) }),
        output: options.output ?? logOutput,
        watch,
        controls: ({ channel }) => ({ ask: Effect.sync(() => channel.sendUnsafe({ t: "stop" })) })
      })
  }
}
