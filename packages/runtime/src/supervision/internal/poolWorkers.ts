/**
 * The processes of a pool: boots a member for each incarnation, stops and kills as decided, and reports what becomes of
 * each. What follows an exit is decided elsewhere: no member is ever started again.
 */
import type { Action } from "@nerve/core/supervision/PoolMachine"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import * as Effect from "effect/Effect"
import type { PoolEvent } from "../PoolEvent.ts"
import type { WorkerEvent } from "../WorkerEvent.ts"
import type { WorkerSpec } from "../WorkerSpec.ts"
import type { PoolEngine } from "./poolEngine.ts"
import type { PoolEvents } from "./poolEvents.ts"
import * as poolMember from "./poolMember.ts"

/** What each member is made with, whatever its number. */
type Common = Pick<
  poolMember.Options,
  "bootTimeoutMs" | "changed" | "context" | "heartbeat" | "memory" | "metrics" | "scope" | "spawner" | "stop"
>

export interface Options extends Common {
  readonly name: string
  readonly engine: PoolEngine
  readonly events: PoolEvents
  readonly worker: (slot: number) => WorkerSpec
  /** The channel of a member has ended. */
  readonly lost: (member: number) => void
}

export class PoolWorkers {
  readonly #options: Options
  readonly #members: Map<number, poolMember.PoolMember>
  readonly #runFork: (effect: Effect.Effect<void>) => void

  /** `members` is where they are found by number, from their boot until they are gone. */
  constructor(members: Map<number, poolMember.PoolMember>, options: Options) {
    this.#members = members
    this.#options = options
    this.#runFork = Effect.runForkWith(options.context)
  }

  boot({ member: id, replaces, slot, why }: Extract<Action, { readonly _tag: "Boot" }>): void {
    const { engine, events, lost, name, worker, ...common } = this.#options
    if (replaces !== null && why !== null) {
      events.emitUnsafe({ _tag: "WorkerRecycling", key: slot, incarnation: replaces, successor: id, reason: why })
    }
    const member = poolMember.startUnsafe({
      ...common,
      id,
      slot,
      name: `${name}/${slot}`,
      worker: () => worker(slot),
      onMemoryHigh: () => engine.step({ _tag: "MemoryHigh", member: id }),
      emit: (event) => this.#told(id, event),
      emitUnsafe: events.emitUnsafe,
      lost: () => lost(id)
    })
    this.#members.set(id, member)
  }

  kill(id: number, reason: string): void {
    const member = this.#members.get(id)
    if (member !== undefined) this.#runFork(member.kill(reason))
  }

  /** Goes down the stop ladder. */
  stop(id: number): void {
    this.#runFork(this.#free(id, this.#options.stop))
  }

  /** An event is told before anything follows from it. */
  #told(id: number, event: PoolEvent & WorkerEvent<number>): Effect.Effect<void> {
    return Effect.andThen(
      this.#options.events.emit(event),
      Effect.sync(() => this.#onEvent(id, event))
    )
  }

  #onEvent(id: number, event: WorkerEvent<number>): void {
    const { engine } = this.#options
    if (event._tag === "WorkerReady") engine.step({ _tag: "Ready", member: id })
    if (event._tag !== "WorkerExited") return
    const { exit, reason, uptimeMs } = event
    engine.step({ _tag: "Exited", member: id, exit: event.pid === null ? null : exit, uptimeMs, reason })
    // One that was not stopped is freed here; stopping one that is gone only does that.
    if (!event.expected) this.#runFork(this.#free(id, StopPolicy.kill))
  }

  /** Stops a member and forgets it. The exit is told by its event; this is for one that never came that far. */
  #free(id: number, policy: StopPolicy.StopPolicy): Effect.Effect<void> {
    return Effect.andThen(
      Effect.suspend(() => this.#members.get(id)?.stop(policy) ?? Effect.void),
      Effect.sync(() => {
        this.#options.engine.step({ _tag: "Exited", member: id, exit: null, uptimeMs: 0, reason: "stopped" })
        this.#members.delete(id)
        this.#options.changed()
      })
    )
  }
}
