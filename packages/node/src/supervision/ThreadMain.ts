/**
 * The thread's side of a `ThreadWorker`: runs an Effect and interrupts it when the thread is asked to stop.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { parentPort } from "node:worker_threads"

const isStop = (message: unknown): boolean =>
  typeof message === "object" && message !== null && "t" in message && message.t === "stop"

/**
 * Runs the Effect as this thread's program. The thread ends with it: with code 0 when it succeeds or was
 * asked to stop, with 1 and its cause on stderr when it fails.
 */
export const run = <A, E>(effect: Effect.Effect<A, E>): void => {
  const fiber = Effect.runFork(effect)
  const listen = (message: unknown) => {
    if (isStop(message)) fiber.interruptUnsafe()
  }
  parentPort?.on("message", listen)
  fiber.addObserver((exit) => {
    // What listens keeps the thread alive.
    parentPort?.off("message", listen)
    parentPort?.unref()
    if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return
    process.stderr.write(`${Cause.pretty(exit.cause)}\n`)
    process.exitCode = 1
  })
}
