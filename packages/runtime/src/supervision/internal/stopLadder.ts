/**
 * Takes an incarnation down, step by step: what is in flight may finish, then it is asked, then told by SIGTERM,
 * then killed (R9). One ladder at a time; whoever asks again, and for nothing faster, does not make it begin anew.
 */
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import * as Effect from "effect/Effect"
import * as FiberHandle from "effect/FiberHandle"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Incarnation } from "./incarnation.ts"

export interface Host {
  /** The present incarnation, if its process is there. */
  readonly current: () => Incarnation | undefined
  /** The bounds that hold now. */
  readonly policy: () => StopPolicy.StopPolicy
  /** How many calls are in flight. */
  readonly inFlight: () => number
  /** Told when the first step is about to be taken: from now on an exit is what was wanted. */
  readonly begun: (incarnation: number) => void
}

export interface StopLadder {
  /** Takes this incarnation down, in a fiber of its own. */
  readonly run: (incarnation: number, options: { readonly afterInFlight: boolean }) => Effect.Effect<void>
  /** Nothing is in flight any more. */
  readonly idle: () => void
  /** The step that this incarnation has come to, as a word for its exit; undefined before the first. */
  readonly stepOf: (incarnation: number) => string | undefined
}

/** How far down an incarnation is. */
interface Progress {
  readonly incarnation: number
  readonly policy: StopPolicy.StopPolicy
  step: StopPolicy.Step["_tag"] | undefined
}

/** Of one key. Its fiber lives as long as its scope. */
export const make = Effect.fnUntraced(function* (host: Host): Effect.fn.Return<StopLadder, never, Scope.Scope> {
  const fiber = yield* FiberHandle.make()
  const idle = Latch.makeUnsafe(true)
  let progress: Progress | undefined

  const take = ({ child }: Incarnation, step: StopPolicy.Step) => {
    switch (step._tag) {
      case "Ask":
        child.channel.sendUnsafe({ t: "stop" })
        return Effect.timeoutOption(child.exit, step.waitMs)
      case "Terminate":
        return Effect.andThen(child.kill("SIGTERM"), Effect.timeoutOption(child.exit, step.waitMs))
      case "Kill":
        return Effect.andThen(child.kill("SIGKILL"), Effect.asSome(child.exit))
    }
  }

  const untilIdle = Effect.suspend(() => {
    if (host.inFlight() === 0) return Effect.void
    idle.closeUnsafe()
    return Effect.timeoutOption(idle.await, host.policy().drainMs)
  })

  const descend = Effect.fnUntraced(function* (number: number, afterInFlight: boolean) {
    // One that is to go is read to its end, however slow the reader of its output is.
    host.current()?.source.resumeUnsafe()
    if (afterInFlight) yield* untilIdle
    host.begun(number)
    const incarnation = host.current()
    if (incarnation === undefined || incarnation.number !== number) return
    const mine: Progress = { incarnation: number, policy: host.policy(), step: undefined }
    progress = mine
    for (const step of StopPolicy.steps(mine.policy, incarnation.channelAlive)) {
      mine.step = step._tag
      if (Option.isSome(yield* take(incarnation, step))) return
    }
  })

  const isUnderWay = (number: number): boolean =>
    progress?.incarnation === number && !StopPolicy.isShorter(host.policy(), progress.policy)

  return {
    run: (number, { afterInFlight }) =>
      Effect.suspend(() =>
        isUnderWay(number) ? Effect.void : Effect.asVoid(FiberHandle.run(fiber, descend(number, afterInFlight)))
      ),
    idle: () => idle.openUnsafe(),
    stepOf: (number) => (progress?.incarnation === number ? progress.step?.toLowerCase() : undefined)
  }
})
