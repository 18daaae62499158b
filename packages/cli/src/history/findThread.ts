/**
 * Finds a thread by its id, or by a beginning of it that no other thread shares.
 */
import { UnknownThread } from "@nerve/core/wire/ControlRpcs"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { History } from "./History.ts"

/** Several threads start so. */
export class AmbiguousThread extends Schema.TaggedError<AmbiguousThread>()("AmbiguousThread", {
  prefix: Schema.String,
  /** The first few of them. */
  candidates: Schema.Array(Schema.String),
  more: Schema.Boolean
}) {
  override get message(): string {
    return `several threads start with ${JSON.stringify(this.prefix)}`
  }
  get hint(): string {
    return `write more of one of: ${this.candidates.join(", ")}${this.more ? ", …" : ""}`
  }
}

/** Threads that are looked through for a prefix, the newest: one answer must fit a frame of the socket. */
const searched = 1_000

const shown = 5

/** The full id. */
const resolve = Effect.fnUntraced(function* (history: History, prefix: string) {
  const runs = yield* history.threads({ limit: searched })
  const ids = runs.map((run) => run.threadId).filter((id) => id.startsWith(prefix))
  const [only] = ids
  if (only === undefined || prefix === "") return yield* new UnknownThread({ threadId: prefix })
  if (ids.length === 1) return only
  return yield* new AmbiguousThread({ prefix, candidates: ids.slice(0, shown), more: ids.length > shown })
})

/** The run of the thread with this id, else of the only one whose id starts so. */
export const findThread = (history: History, idOrPrefix: string) => {
  const runOf = (threadId: string) => Effect.map(history.thread(threadId, { limit: 0 }), ({ run }) => run)
  return runOf(idOrPrefix).pipe(
    Effect.catchTag("UnknownThread", () => Effect.flatMap(resolve(history, idOrPrefix), runOf))
  )
}
