/**
 * Which sense a line of `console.log` is of. The senses of a group share a process, so each compute runs in
 * an asynchronous context of its own, which promises, timers and the fibers of an Effect inherit.
 *
 * What is printed outside a compute, and what goes to `process.stdout` directly, is a line of the worker.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { AsyncLocalStorage } from "node:async_hooks"
import { format } from "node:util"
import * as UserLog from "../user/UserLog.ts"

/** Takes the log lines of one sense. */
export type Log = (line: UserLog.Line) => void

const current = new AsyncLocalStorage<Log>()

const levels = { debug: "Debug", log: "Info", info: "Info", warn: "Warn", error: "Error" } as const

/** From now on, what code under `within` prints with `console` is a log line of its sense. Once per process. */
export const install = (): void => {
  for (const name of ["debug", "log", "info", "warn", "error"] as const) {
    const print = console[name]
    console[name] = (...args: ReadonlyArray<unknown>) => {
      const log = current.getStore()
      if (log === undefined) print(...args)
      else log(UserLog.line(levels[name], format(...args), {}))
    }
  }
}

/** Runs an effect so that what it prints goes to `log`. Interrupting it waits until it has given way. */
export const within = <A, E, R>(log: Log, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.contextWith((context) =>
    Effect.suspend(() => {
      const fiber = current.run(log, () => Effect.runForkWith(context)(effect))
      return Effect.onInterrupt(Fiber.join(fiber), () => Fiber.interrupt(fiber))
    })
  )
