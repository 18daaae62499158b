/**
 * `nerve logs`: the latest log entries that match, oldest first; with `--follow` the ones to come too.
 */
import { type LogEntry, type LogQuery, LogSource } from "@nerve/core/domain/LogEntry"
import * as ControlClient from "@nerve/node/control/ControlClient"
import * as Clock from "effect/Clock"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { given } from "../flags/Given.ts"
import * as Global from "../flags/Global.ts"
import * as Time from "../flags/Time.ts"
import * as History from "../history/History.ts"
import { latest } from "../history/latest.ts"
import * as EventPrinter from "../output/EventPrinter.ts"

interface Filters {
  readonly source: Option.Option<LogEntry["source"]>
  readonly type: Option.Option<string>
  readonly ref: Option.Option<string>
  readonly since: Option.Option<Time.Since>
}

const queryOf = ({ ref, since, source, type }: Filters, now: number): LogQuery =>
  given({ source, type, refId: ref, since: Option.map(since, (since) => Time.resolveSince(since, now)) })

export const logs = Command.make(
  "logs",
  {
    follow: Flag.Boolean("follow").pipe(
      Flag.withAlias("f"),
      Flag.withDescription("Go on with what comes; needs a daemon"),
      Flag.withDefault(false)
    ),
    source: Flag.Literals("source", LogSource.literals).pipe(
      Flag.withDescription("Only from this source"),
      Flag.optional
    ),
    type: Flag.String("type").pipe(
      Flag.withDescription("Only of this type, such as signal or completed"),
      Flag.optional
    ),
    ref: Flag.String("ref").pipe(
      Flag.withMetavar("NAME"),
      Flag.withDescription("Only about this sense, thread or worker"),
      Flag.optional
    ),
    since: Time.since("since").pipe(
      Flag.withDescription("Only from then on: 10m (ago), or 2026-02-28T14:00:00Z"),
      Flag.optional
    ),
    limit: Time.positive("limit").pipe(
      Flag.withAlias("n"),
      Flag.withDescription("At most so many of the past, 100 unless told"),
      Flag.withDefault(100)
    )
  },
  ({ follow, limit, ...filters }) =>
    Effect.gen(function* () {
      const workspace = yield* Global.workspace
      const query = queryOf(filters, yield* Clock.currentTimeMillis)
      const print = yield* EventPrinter.make
      if (!follow) {
        const entries = yield* History.use(workspace, (history) => latest(history, query, limit))
        return yield* print(entries)
      }
      return yield* ControlClient.use(workspace, (client) =>
        Effect.gen(function* () {
          const past = yield* latest(History.ofClient(client), query, limit)
          yield* print(past)
          yield* client.TailLogs({ ...query, cursor: past.at(-1)?.id ?? 0 }).pipe(Stream.runForEachArray(print))
        })
      )
    })
).pipe(Command.withDescription("Print the log"))
