/**
 * Prints log entries as they come: as JSON lines with `--json`, else as lines for people.
 */
import type { LogEntry } from "@nerve/core/domain/LogEntry"
import * as Effect from "effect/Effect"
import { JsonFlag } from "../flags/Global.ts"
import * as Event from "../render/Event.ts"
import * as Output from "./Output.ts"

/** A printer that learns, entry by entry, which workflow a thread belongs to. */
export const make = Effect.gen(function* () {
  const json = yield* JsonFlag
  const style = yield* Output.style
  let names = Event.noNames
  const line = (entry: LogEntry): string => {
    names = Event.learn(names, entry)
    return Event.render(entry, { names, style })
  }
  return (entries: ReadonlyArray<LogEntry>) =>
    json ? Output.jsonLines(entries) : Output.text(entries.map(line).join("\n"))
})
