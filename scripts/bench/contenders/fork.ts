/** The baseline: plain `fork` with JSON messages, calls told apart by an id. */
import { type ChildProcess, fork as forkChild } from "node:child_process"
import { once } from "node:events"
import type { Contender, Message } from "../Contender.ts"
import { program } from "../program.ts"

class Forked {
  readonly child: ChildProcess
  readonly #waiting = new Map<number, (message: Message) => void>()
  #id = 0

  constructor() {
    this.child = forkChild(program("echo.fork.mjs"), { serialization: "json" })
    this.child.on("message", (reply: { readonly id: number; readonly message: Message }) => {
      this.#waiting.get(reply.id)?.(reply.message)
      this.#waiting.delete(reply.id)
    })
  }

  readonly call = (message: Message): Promise<Message> =>
    new Promise((resolve) => {
      const id = this.#id++
      this.#waiting.set(id, resolve)
      this.child.send({ id, message })
    })

  readonly close = async (): Promise<void> => {
    const gone = once(this.child, "exit")
    this.child.kill("SIGKILL")
    await gone
  }
}

export const fork: Contender = {
  name: "fork",
  mode: "process",
  open: async (workers) => {
    const forked = Array.from({ length: workers }, () => new Forked())
    await Promise.all(forked.map((one) => one.call({ text: "ready?" })))
    return {
      call: (_kind, message, worker) =>
        forked[worker % workers]?.call(message) ?? Promise.reject(new Error("no worker")),
      pids: async () => forked.flatMap((one) => (one.child.pid === undefined ? [] : [one.child.pid])),
      close: async () => {
        await Promise.all(forked.map((one) => one.close()))
      }
    }
  }
}
