/**
 * `nerve thread inspect ID`: all there is to know of a thread. `nerve why ID`: why it is where it is.
 */
import type { Explanation, ThreadDetail } from "@nerve/core/wire/ControlRpcs"
import type { LogEntry } from "@nerve/core/domain/LogEntry"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as History from "../../history/History.ts"
import * as Rounds from "../../flags/Rounds.ts"
import { latest } from "../../history/latest.ts"
import { roundsOf } from "../../history/roundsOf.ts"
import { show } from "../../output/Show.ts"
import * as Event from "../../render/Event.ts"
import { safe } from "../../render/Text.ts"
import type { Look } from "../../render/Look.ts"
import * as ThreadViews from "../../render/ThreadViews.ts"
import { id, withThread } from "./withThread.ts"

const reasons = ({ lines }: Explanation): string => lines.map((line) => safe(line)).join("\n")

export const why = Command.make("why", { id }, ({ id }) =>
  Effect.gen(function* () {
    const explained = yield* withThread(id, (client, threadId) => client.ExplainThread({ threadId }))
    return yield* show(explained, reasons)
  })
).pipe(Command.withDescription("Say why a thread is where it is"))

interface Inspected extends Explanation, ThreadDetail {
  readonly entries: ReadonlyArray<LogEntry>
}

/** Entries of a thread that are looked at, the newest. */
const MOST_ENTRIES = 500

const page = (found: Inspected, look: Look): string => {
  const { run } = found
  const wait = run.wait?.wait
  return [
    ThreadViews.page(found, look),
    "",
    look.style.bold("why it is where it is"),
    reasons(found),
    ...(run.version === null ? [] : [`its code is of version ${run.version}`]),
    ...(run.key === null ? [] : [`its key is ${run.key}`]),
    ...(wait?._tag === "Approval" && wait.schema !== null
      ? [`--answer has to fit ${JSON.stringify(wait.schema)}`]
      : []),
    "",
    look.style.bold("what happened"),
    ...found.entries.map((entry) => Event.render(entry, { style: look.style }))
  ].join("\n")
}

export const inspect = Command.make("inspect", { id, ...Rounds.flags }, ({ id, ...given }) =>
  Effect.gen(function* () {
    const found = yield* withThread(id, (client, threadId) =>
      Effect.gen(function* () {
        const { lines } = yield* client.ExplainThread({ threadId })
        const history = History.ofClient(client)
        const { messages, run } = yield* roundsOf(history, threadId, Rounds.wanted(given))
        const entries = yield* latest(history, { source: "workflow", refId: threadId }, MOST_ENTRIES)
        return { run, lines, messages, entries }
      })
    )
    yield* show(found, page)
    return yield* Rounds.note(found)
  })
).pipe(Command.withDescription("Show all there is to know of a thread: rounds, waits, lineage, what happened"))
