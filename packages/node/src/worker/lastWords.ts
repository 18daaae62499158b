/**
 * What a process has sent and its pipe has not taken, written before it exits. Node drops it: of an answer of megabytes
 * followed by `process.exit`, only what fits into the pipe would arrive.
 */
import type { Socket } from "node:net"
import { monotonicMs } from "../ipc/monotonicMs.ts"
import type { Backlog, SocketChannel } from "../ipc/PipeChannel.ts"
import { fs } from "./builtins.ts"

/** Who has not read anything for so long is not waited for. */
const patienceMs = 2000

/** Between two attempts to write to a pipe that is full. */
const napMs = 1

const descriptor = 3

/** Node has no public way to ask; without, what it holds is dropped. */
const backlogOf = (socket: Socket): Backlog => {
  const { _handle: handle, writableBuffer } = socket as {
    readonly _handle?: { readonly writeQueueSize?: number } | null
    readonly writableBuffer?: ReadonlyArray<unknown>
  }
  return { untaken: handle?.writeQueueSize ?? 0, waiting: writableBuffer?.length ?? 0 }
}

/** How many bytes it took: none while the pipe is full, undefined when there is none any more. */
const writeSome = (bytes: Buffer): number | undefined => {
  try {
    return fs.writeSync(descriptor, bytes)
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EAGAIN" ? 0 : undefined
  }
}

/** Blocks until all of it has left, or nobody reads it. */
export const write = (socket: Socket, channel: SocketChannel): void => {
  let rest = channel.unsentUnsafe(backlogOf(socket))
  let movedAt = monotonicMs()
  while (rest.length > 0 && monotonicMs() - movedAt < patienceMs) {
    const taken = writeSome(rest)
    if (taken === undefined) return
    rest = rest.subarray(taken)
    if (taken > 0) movedAt = monotonicMs()
    else Atomics.wait(nap, 0, 0, napMs)
  }
}

const nap = new Int32Array(new SharedArrayBuffer(4))
