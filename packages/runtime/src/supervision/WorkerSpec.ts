/**
 * What to start for a key. A value: the Spawner gives it meaning.
 */
import type * as Schema from "effect/Schema"

export type WorkerSpec =
  | {
      readonly _tag: "Module"
      /** URL of an ES module (TypeScript or JavaScript) that calls `Worker.serve`, or of a bundle of one. */
      readonly module: string
      readonly args: ReadonlyArray<string>
      readonly limits: NodeLimits
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

/** What a Node worker may use. They are command line flags: set when the process starts, and for its life. */
export interface NodeLimits {
  /** Megabytes of the old generation of its heap (`--max-old-space-size`). One that needs more aborts: a crash. */
  readonly heapSizeMb?: number | undefined
  /** It runs under Node's permission model, and may do only what is named here. Everything, unless given. */
  readonly permissions?: Permissions | undefined
}

/**
 * What a worker under Node's permission model may do. It can always read nerve's own files, its module's
 * folder and the compile cache. The network is not restricted by Node 22 and 24, nor is `node:sqlite`.
 */
export interface Permissions {
  /** Files and folders that it may read, those of packages that it imports among them; true: all. */
  readonly read?: true | ReadonlyArray<string> | undefined
  /** Files and folders that it may write; true: all. */
  readonly write?: true | ReadonlyArray<string> | undefined
  readonly childProcess?: boolean | undefined
  readonly workerThreads?: boolean | undefined
  readonly addons?: boolean | undefined
  readonly wasi?: boolean | undefined
}

/** A worker whose code is an ES module, as it was written or made one file (`WorkerBundle` in `@nerve/node`). */
export const module = (
  url: URL | string,
  options: Options & NodeLimits & { readonly args?: ReadonlyArray<string> } = {}
): WorkerSpec => {
  const { args, heapSizeMb, permissions, ...rest } = options
  const limits = { ...(heapSizeMb && { heapSizeMb }), ...(permissions && { permissions }) }
  return { _tag: "Module", module: String(url), args: args ?? [], limits, options: rest }
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
