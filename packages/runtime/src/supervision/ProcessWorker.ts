/**
 * A worker that is a process running an ES module (L1): `export default Worker.serve(group, handlers)`.
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

export interface Options
  extends WorkerSpec.NodeLimits, Pick<memoryWatch.Options, "memoryHardLimit" | "rss" | "rssEvery"> {
  readonly args?: ReadonlyArray<string>
  /** Set over the inherited basics; nothing else is inherited. */
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Sent to the worker before it is ready; `Worker.init` yields it there. */
  readonly init?: Schema.Json
  /** From spawn to `ready`; 10 seconds unless told. Then it is killed. */
  readonly readyTimeout?: Duration.Input
  /** Asks it every 5 seconds, and kills it when it was silent for 30 (`hung: …`), unless told; false: never. */
  readonly heartbeat?: HeartbeatOptions | false
  /** Where its stdout and stderr go, line by line; into the log unless told. */
  readonly output?: Output
  readonly metadata?: { readonly [key: string]: string }
}

/** A worker whose code is an ES module, TypeScript or JavaScript. */
export const make = (module: URL | string, options: Options = {}): Blueprint<Spawner> => {
  const { heartbeat, memoryHardLimit, metadata, output, readyTimeout, rss, rssEvery, ...rest } = options
  const watch = {
    readyTimeoutMs: Duration.toMillis(Duration.fromInputUnsafe(readyTimeout ?? "10 seconds")),
    heartbeat: pulse.settingsOf(heartbeat, "always"),
    memory: memoryWatch.limitsOf({ memoryHardLimit, rss, rssEvery })
  }
  return {
    kind: "process",
    metadata: { module: String(module), ...metadata },
    life: (port) =>
      spawnedLife(port, {
        spec: WorkerSpec.module(module, { ...rest, env: { ...rest.env, ...handoverEnvironment(port.handover) } }),
        output: output ?? logOutput,
        watch,
        controls: ({ channel }) => ({ ask: Effect.sync(() => channel.sendUnsafe({ t: "stop" })) })
      })
  }
}
