/**
 * What the bench asks of whoever takes part: to open workers that echo, and to close them.
 */

/** One of the messages that are echoed. */
export type Message = { readonly text: string } | { readonly rows: ReadonlyArray<unknown> }

export type Kind = "echo" | "records" | "opaque"

export interface Pool {
  /** Sends a message and waits for its echo. `worker`: which one, for contenders that let one choose. */
  readonly call: (kind: Kind, message: Message, worker: number) => Promise<unknown>
  /** Reads a stream of so many 100-byte items. */
  readonly stream?: (count: number) => Promise<void>
  /** Process ids of the workers. */
  readonly pids?: () => Promise<ReadonlyArray<number>>
  readonly close: () => Promise<void>
}

export interface Contender {
  readonly name: string
  /** Whether its workers are processes: only those are what nerve is compared with. */
  readonly mode: "process" | "thread"
  /** Opens workers that are ready to answer. */
  readonly open: (workers: number) => Promise<Pool>
}
