/**
 * Tells the schedules of senses what happens, and carries out what they decide. One timer serves them all.
 */
import * as SenseSchedule from "@nerve/core/sense/SenseSchedule"
import type * as Effect from "effect/Effect"
import type { TicksDropped } from "../SenseEvent.ts"
import type { SenseClock } from "./senseClock.ts"
import type { SenseRoster } from "./senseRoster.ts"
import { isComputing, type Sense } from "./senseState.ts"
import * as WakeTimer from "./wakeTimer.ts"

export interface Options {
  readonly roster: SenseRoster
  readonly clock: SenseClock
  /** Told that a compute has passed its bound. It must not wait. */
  readonly overrun: (sense: Sense) => void
  /** Told of ticks that come to no compute of their own. It must not wait. */
  readonly dropped: ((dropped: TicksDropped) => void) | undefined
}

export interface SenseSchedules {
  /** Tells a schedule what happened and carries out what it decides. Never waits. */
  readonly feed: (sense: Sense, input: SenseSchedule.Input) => void
  /** Wakes the sense no more. */
  readonly forget: (sense: Sense) => void
  /** Wakes whoever is due, until it is interrupted. */
  readonly run: Effect.Effect<never>
}

export const make = (options: Options): SenseSchedules => {
  const { clock, roster } = options
  const { now, wallOf } = clock

  const lookAtClock = (): void => {
    const found = clock.look()
    if (found === null) return
    for (const sense of roster.senses.values()) {
      if (found.sleptMs > 0) feed(sense, { _tag: "Slept", ms: found.sleptMs })
      if (found.isSet) feed(sense, { _tag: "ClockSet", wallOffset: clock.wallOffset() })
    }
  }

  const timer = WakeTimer.make<Sense>({ now, look: lookAtClock, wake: (sense) => feed(sense, { _tag: "Tick" }) })

  const feed = (sense: Sense, input: SenseSchedule.Input): void => {
    const decision = SenseSchedule.decide(sense.schedule, input, now())
    sense.schedule = decision.state
    timer.set(sense, decision.wakeAt)
    for (const action of decision.actions) {
      switch (action._tag) {
        case "Run":
          sense.cause = action.cause
          sense.dueAt = wallOf(action.dueAt)
          sense.go.openUnsafe()
          break
        case "Overrun":
          sense.overran = roster.membersOf(sense.group).filter((other) => other !== sense && isComputing(other))
          options.overrun(sense)
          break
        case "Dropped": {
          const { cause, count, fate } = action
          options.dropped?.({ sense: sense.config.name, cause, fate, dueAt: wallOf(action.dueAt), count })
        }
      }
    }
  }

  return { feed, forget: (sense) => timer.set(sense, null), run: timer.run }
}
