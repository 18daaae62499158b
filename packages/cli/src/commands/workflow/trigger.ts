/**
 * `nerve workflow trigger NAME --prompt TEXT`: starts a thread; with `--wait` until it has ended.
 */
import type { Triggered } from "@nerve/core/wire/ControlRpcs"
import * as ControlClient from "@nerve/node/control/ControlClient"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { given } from "../../flags/Given.ts"
import * as Global from "../../flags/Global.ts"
import { positive } from "../../flags/Time.ts"
import { Failed } from "../../output/Failed.ts"
import * as History from "../../history/History.ts"
import { roundsOf } from "../../history/roundsOf.ts"
import { show } from "../../output/Show.ts"
import * as ThreadViews from "../../render/ThreadViews.ts"

/** The thread once it has ended. */
const ended = (client: ControlClient.ControlClient, { threadId }: Triggered) =>
  Effect.andThen(client.AwaitThread({ threadId }), roundsOf(History.ofClient(client), threadId))

const launched = ({ existing, status, threadId }: Triggered): string =>
  existing === true ? `thread ${threadId} has this key already; it is ${status}` : `thread ${threadId} ${status}`

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
    key: Flag.String("key").pipe(
      Flag.withMetavar("TEXT"),
      Flag.filter(
        (text) => text !== "" && text.length <= 256,
        () => "a text of 1 to 256 characters"
      ),
      Flag.withDescription("Asking again with the same key yields the same thread"),
      Flag.optional
    ),
    priority: Flag.Int("priority").pipe(
      Flag.withMetavar("N"),
      Flag.filter(
        (value) => value >= -1000 && value <= 1000,
        () => "a whole number from -1000 to 1000"
      ),
      Flag.withDescription("Higher goes first in the queue, 0 unless told"),
      Flag.optional
    ),
    wait: Flag.Boolean("wait").pipe(
      Flag.withDescription("Wait for the thread's end, print it; exit code 1 unless it completed"),
      Flag.withDefault(false)
    )
  },
  ({ dryRun, key, maxRounds, name, priority, prompt, wait }) =>
    Effect.gen(function* () {
      const payload = {
        workflow: name,
        prompt,
        dryRun,
        ...given({ maxRounds, key, priority })
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
          yield* show(detail, ThreadViews.page)
          if (detail.run.status !== "completed") return yield* new Failed({ message: "" })
        })
      )
    })
).pipe(Command.withDescription("Start a thread of a workflow"))
