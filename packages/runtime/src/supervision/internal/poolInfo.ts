/**
 * What a pool looks like from outside: the decisions' state, with what the processes themselves tell.
 */
import * as PoolState from "@nerve/core/supervision/PoolState"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { PoolInfo, PoolWorkerInfo } from "../WorkerPool.ts"
import type { PoolEngine } from "./poolEngine.ts"
import type { PoolMember } from "./poolMember.ts"
import type { SparesInfo } from "./spares.ts"

export interface Sources {
  readonly engine: PoolEngine
  readonly members: ReadonlyMap<number, PoolMember>
  readonly spares: () => SparesInfo
}

export const snapshot = (sources: Sources): PoolInfo => {
  const { state } = sources.engine
  return {
    state: state.closing === null ? "open" : PoolState.isClosed(state) ? "closed" : "closing",
    size: state.slots.length,
    ready: state.members.filter((one) => one.stage === "ready").length,
    givenUp: state.slots.filter((slot) => slot.pause?._tag === "GivenUp").length,
    queued: state.queue.size,
    running: PoolState.running(state),
    generation: state.generation,
    workers: state.members.map((member) => workerInfo(sources, member)),
    spares: sources.spares()
  }
}

const workerInfo = ({ engine, members }: Sources, member: PoolState.Member): PoolWorkerInfo => {
  const info = members.get(member.id)?.info()
  return {
    slot: member.slot,
    incarnation: member.id,
    pid: info?.pid ?? null,
    stage: member.stage,
    running: member.running.size,
    jobs: member.jobs,
    generation: member.generation,
    ageMs: member.readyAt === 0 ? 0 : engine.now() - member.readyAt,
    due: member.due ?? (member.generation < engine.state.generation && !member.kept ? "reload" : null),
    stderrTail: info?.stderrTail ?? ""
  }
}

export interface Changes {
  /** To be called whenever a new snapshot may differ. */
  readonly changed: () => void
  /** Snapshots, now and later. Slow readers see the latest, not all. */
  readonly stream: Stream.Stream<PoolInfo>
}

/** Its fiber lives in the scope. */
export const changes = Effect.fnUntraced(function* (current: () => PoolInfo, scope: Scope.Scope) {
  const infos = yield* SubscriptionRef.make<PoolInfo | undefined>(undefined)
  const dirty = yield* Queue.sliding<void>(1)
  const publish = Effect.suspend(() => SubscriptionRef.set(infos, current()))
  yield* Effect.forkIn(Effect.forever(Effect.andThen(Queue.take(dirty), publish)), scope)
  const result: Changes = {
    changed: () => {
      Queue.offerUnsafe(dirty, undefined)
    },
    stream: Stream.filter(SubscriptionRef.changes(infos), (info) => info !== undefined)
  }
  return result
})
