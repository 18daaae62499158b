/**
 * `nerve thread wait ID` and `nerve thread follow ID`
 */
import type { LogEntry } from "@nerve/core/domain/LogEntry"
import type { WorkflowRun } from "@nerve/core/domain/Thread"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { Failed } from "../../output/Failed.ts"
import * as EventPrinter from "../../output/EventPrinter.ts"
import * as History from "../../history/History.ts"
import { roundsOf } from "../../history/roundsOf.ts"
import { show } from "../../output/Show.ts"
import { isThreadEnd } from "../../render/Event.ts"
import * as ThreadViews from "../../render/ThreadViews.ts"
import { id, withThread } from "./withThread.ts"

/** The exit code is 0 only for a thread that completed. */
const judge = (run: WorkflowRun) => (run.status === "completed" ? Effect.void : new Failed({ message: "" }))

export const wait = Command.make("wait", { id }, ({ id }) =>
  Effect.gen(function* () {
    const detail = yield* withThread(id, (client, threadId) =>
      Effect.andThen(client.AwaitThread({ threadId }), roundsOf(History.ofClient(client), threadId))
    )
    yield* show(detail, ThreadViews.page)
    return yield* judge(detail.run)
  })
).pipe(Command.withDescription("Wait for a thread's end and print it; exit code 1 unless it completed"))

export const follow = Command.make("follow", { id }, ({ id }) =>
  Effect.gen(function* () {
    const print = yield* EventPrinter.make
    yield* withThread(id, (client, threadId) =>
      Effect.gen(function* () {
        const about = { source: "workflow", refId: threadId } as const
        const [latest] = yield* client.QueryLogs({ ...about, order: "desc", limit: 1 })
        // An end before its latest entry was no end: somebody has taken the thread up again.
        const isLast = (entry: LogEntry) => isThreadEnd(entry) && entry.id >= (latest?.id ?? 0)
        yield* client.TailLogs({ ...about, cursor: 0 }).pipe(Stream.takeUntil(isLast), Stream.runForEachArray(print))
      })
    )
  })
).pipe(Command.withDescription("Print what has happened to a thread, then what happens, until it ends"))
