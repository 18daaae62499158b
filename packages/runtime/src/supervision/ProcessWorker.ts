/**
 * A worker that is a process running an ES module (L1): `export default Worker.serve(group, handlers)`.
 * It is Running when it says so over its channel, and asked over it to stop before signals are used.
 *
 * This is for processes whose work is to be there. Where they are called, by key, use `WorkerRuntime`.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import { logOutput, type Output, spawnedLife } from "./internal/spawnedLife.ts"
import { type Blueprint, handoverEnvironment } from "./Lifecycle.ts"
import type { Spawner } from "./Spawner.ts"
import * as WorkerSpec from "./WorkerSpec.ts"

export type { Output, OutputLine } from "./internal/spawnedLife.ts"

export interface Options {
  readonly args?: ReadonlyArray<string>
  /** Set over the inherited basics; nothing else is inherited. */
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Sent to the worker before it is ready; `Worker.init` yields it there. */
  readonly init?: Schema.Json
  /** From spawn to `ready`; 10 seconds unless told. Then it is killed. */
  readonly readyTimeout?: Duration.Input
  /** Where its stdout and stderr go, line by line; into the log unless told. */
  readonly output?: Output
  readonly metadata?: { readonly [key: string]: string }
}

/** A worker whose code is an ES module, TypeScript or JavaScript. */
export const make = (module: URL | string, options: Options = {}): Blueprint<Spawner> => {
  const { metadata, output, readyTimeout, ...rest } = options
  return {
    kind: "process",
    metadata: { module: String(module), ...metadata },
    life: (port) =>
      spawnedLife(port, {
        spec: WorkerSpec.module(module, { ...rest, env: { ...rest.env, ...handoverEnvironment(port.handover) } }),
        output: output ?? logOutput,
        readyTimeoutMs: Duration.toMillis(Duration.fromInputUnsafe(readyTimeout ?? "10 seconds")),
        controls: ({ channel }) => ({ ask: Effect.sync(() => channel.sendUnsafe({ t: "stop" })) })
      })
  }
}
