/**
 * Adapters that need nobody outside, for tests and demos. They keep no state: what is said depends
 * on the conversation alone, so that a resumed thread goes on where it was.
 */
import * as Effect from "effect/Effect"
import { type Adapter, adapterFailed, make, type Reply, type Request } from "./Contract.ts"

const asReply = (reply: string | Reply): Reply => (typeof reply === "string" ? { content: reply } : reply)

/**
 * Answers from a list, or by a function. The list is read by the number of steps so far: its first
 * reply belongs to the thread's first round, whoever speaks. Past its end it fails, and says so.
 */
export const scripted = (script: ReadonlyArray<string | Reply> | ((request: Request) => string | Reply)): Adapter =>
  make("scripted", (request) =>
    Effect.gen(function* () {
      if (typeof script === "function") {
        return yield* Effect.try({
          try: () => asReply(script(request)),
          catch: (cause) => adapterFailed("scripted", `the script threw: ${String(cause)}`)
        })
      }
      const round = request.context.steps.length
      const reply = script[round]
      if (reply === undefined) {
        return yield* adapterFailed("scripted", `no reply for round ${round + 1}: the script has ${script.length}`)
      }
      return asReply(reply)
    })
  )

/** The default: repeats the prompt. */
export const echo: Adapter = make("echo", (request) => Effect.succeed({ content: request.prompt }))
