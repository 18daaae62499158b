/**
 * What SIGINT, SIGTERM and SIGHUP do: interrupt the command, unless one that can stop gracefully has
 * claimed them. One place owns the process's listeners.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Scope } from "effect/Scope"

export type Signal = "SIGINT" | "SIGTERM" | "SIGHUP"

const signals: ReadonlyArray<Signal> = ["SIGINT", "SIGTERM", "SIGHUP"]

type Listener = (signal: Signal) => void

export class Signals extends Context.Service<
  Signals,
  {
    /** For the life of the scope, signals come to this listener instead of interrupting the command. */
    readonly claim: (listener: Listener) => Effect.Effect<void, never, Scope>
  }
>()("@nerve/cli/Signals") {}

/** Listens from now on; `interrupt` is what a signal does that nobody has claimed. */
export const makeUnsafe = (interrupt: Listener): Signals["Service"] => {
  let current = interrupt
  for (const signal of signals) process.on(signal, () => current(signal))
  return {
    claim: (listener) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          current = listener
        }),
        () =>
          Effect.sync(() => {
            current = interrupt
          })
      )
  }
}
