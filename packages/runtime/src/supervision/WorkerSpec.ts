/**
 * What to start for a key. A value: the Spawner gives it meaning.
 */
import type * as Schema from "effect/Schema"

export type WorkerSpec =
  | {
      readonly _tag: "Module"
      /** URL of an ES module (TypeScript or JavaScript) that calls `Worker.serve`. */
      readonly module: string
      readonly args: ReadonlyArray<string>
      readonly options: Options
    }
  | {
      readonly _tag: "Command"
      /** Any executable that speaks the protocol (docs/ipc.md). */
      readonly command: string
      readonly args: ReadonlyArray<string>
      readonly transport: Transport
      readonly options: Options
    }

/**
 * Which descriptors of the process carry the protocol (P7). `fd3`: a two-way pipe on descriptor 3; stdout
 * is captured as output. `stdio`: stdin and stdout, for languages in which descriptor 3 is hard to reach;
 * only stderr is captured, and what else is written to stdout breaks that incarnation.
 */
export type Transport = "fd3" | "stdio"

export interface Options {
  /** Set over the inherited basics (PATH, HOME, LANG, …); nothing else is inherited. */
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Sent to the worker before it is ready; `Worker.init` yields it there. */
  readonly init?: Schema.Json
}

/** A worker whose code is an ES module. */
export const module = (
  url: URL | string,
  options: Options & { readonly args?: ReadonlyArray<string> } = {}
): WorkerSpec => {
  const { args, ...rest } = options
  return { _tag: "Module", module: String(url), args: args ?? [], options: rest }
}

/** A worker that is any executable; it speaks the protocol on descriptor 3 unless told. */
export const command = (
  executable: string,
  args: ReadonlyArray<string> = [],
  options: Options & { readonly transport?: Transport } = {}
): WorkerSpec => {
  const { transport, ...rest } = options
  return { _tag: "Command", command: executable, args, transport: transport ?? "fd3", options: rest }
}
