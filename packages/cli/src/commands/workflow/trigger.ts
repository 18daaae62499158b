/**
 * `nerve workflow trigger NAME --prompt TEXT`: starts a thread; with `--wait` until it has ended.
 */
import type { LogEntry } from "@nerve/core/domain/LogEntry"
import type { Triggered } from "@nerve/core/wire/ControlRpcs"
import * as ControlClient from "@nerve/node/control/ControlClient"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Global from "../../flags/Global.ts"
import { positive } from "../../flags/Time.ts"
import { Failed } from "../../output/Failed.ts"
import { show } from "../../output/Show.ts"
import { isThreadEnd } from "../../render/Event.ts"
import * as Views from "../../render/Views.ts"

/** The thread once it has ended. */
const ended = (client: ControlClient.ControlClient, { threadId }: Triggered) =>
  client.TailLogs({ source: "workflow", refId: threadId, cursor: 0 }).pipe(
    Stream.takeUntil((entry: LogEntry) => isThreadEnd(entry)),
    Stream.runDrain,
    Effect.andThen(client.ShowThread({ threadId }))
  )

const launched = ({ status, threadId }: Triggered): string => `thread ${threadId} ${status}`

export const trigger = Command.make(
  "trigger",
  {
    name: Argument.String("name").pipe(Argument.withDescription("Name of the workflow")),
    prompt: Flag.String("prompt").pipe(
      Flag.withAlias("p"),
      Flag.withMetavar("TEXT"),
      Flag.withDescription("What the thread is about")
    ),
    maxRounds: positive("max-rounds").pipe(
      Flag.withDescription("End the thread after this many rounds"),
      Flag.optional
    ),
    dryRun: Flag.Boolean("dry-run").pipe(
      Flag.withDescription("Run no adapter: each role answers with a placeholder"),
      Flag.withDefault(false)
    ),
    wait: Flag.Boolean("wait").pipe(
      Flag.withDescription("Wait for the thread's end, print it; exit code 1 unless it completed"),
      Flag.withDefault(false)
    )
  },
  ({ dryRun, maxRounds, name, prompt, wait }) =>
    Effect.gen(function* () {
      const payload = {
        workflow: name,
        prompt,
        dryRun,
        ...(Option.isSome(maxRounds) ? { maxRounds: maxRounds.value } : {})
      }
      yield* ControlClient.use(yield* Global.workspace, (client) =>
        Effect.gen(function* () {
          const triggered = yield* client.TriggerWorkflow(payload)
          if (!wait || triggered.status === "dropped") {
            yield* show(triggered, launched)
            if (triggered.status !== "dropped") return
            return yield* new Failed({ message: `nerve: ${name} has no room for another thread: it was dropped` })
          }
          const detail = yield* ended(client, triggered)
          yield* show(detail, Views.thread)
          if (detail.run.status !== "completed") return yield* new Failed({ message: "" })
        })
      )
    })
).pipe(Command.withDescription("Start a thread of a workflow"))
