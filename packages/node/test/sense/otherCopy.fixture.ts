/** Bundled by `otherCopy.test.ts`: a sense host with a copy of Effect of its own, behind a plain function. */
import { GroupName, SenseName } from "@nerve/core/domain/Ids"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as SenseHost from "../../src/sense/SenseHost.ts"
import type { Line } from "../../src/user/UserLog.ts"

/** Boots the senses and computes each once; what `ready` says, what came of each compute, the log lines. */
export const run = (workspace: string, names: ReadonlyArray<string>): Promise<unknown> => {
  const lines: Array<Line> = []
  const senses = names.map((name) => ({ name: SenseName.make(name), timeoutMs: 100 }))
  const program = Effect.gen(function* () {
    const init = { group: GroupName.make("g"), workspace, senses, peers: senses.map((sense) => sense.name) }
    const host = yield* SenseHost.make(init, { log: (line) => lines.push(line) })
    const outcomes: Array<unknown> = []
    for (const { name } of senses) {
      const fiber = yield* Effect.forkChild(host.handlers.RunCompute({ sense: name }))
      const exit = yield* Fiber.await(fiber)
      const failure = exit._tag === "Failure" ? exit.cause.reasons.find((reason) => reason._tag === "Fail") : undefined
      outcomes.push(
        exit._tag === "Success" ? exit.value : { error: failure?.error._tag, message: failure?.error.message }
      )
    }
    return { ready: host.ready, outcomes, lines }
  })
  return Effect.runPromise(Effect.scoped(program))
}
