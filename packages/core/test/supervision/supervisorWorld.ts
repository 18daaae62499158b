/**
 * A small world in which the children of a supervisor live and die: holds its machine and what the actions
 * have brought about, so that a test can say what happens next.
 */
import { expect } from "@effect/vitest"
import type { LifecycleExit } from "@nerve/core/supervision/LifecycleState"
import type { RestartMode } from "@nerve/core/supervision/StateTree"
import * as SupervisorMachine from "@nerve/core/supervision/SupervisorMachine"
import * as SupervisorState from "@nerve/core/supervision/SupervisorState"

type Input = SupervisorMachine.Input
type Action = SupervisorMachine.Action

export const failed: LifecycleExit = { outcome: "Failed", code: 1, signal: null, error: null }
export const finished: LifecycleExit = { outcome: "Finished", code: 0, signal: null, error: null }
export const stopped: LifecycleExit = { outcome: "Stopped", code: 0, signal: null, error: null }

const settings = (over: Partial<SupervisorState.Settings> = {}): SupervisorState.Settings => ({
  strategy: "one-for-one",
  intensity: null,
  breaker: null,
  ...over
})

const text = (action: Action): string =>
  [action._tag, "id" in action ? action.id : "crash" in action ? action.crash.id : ""].join(" ").trim()

export class World {
  machine: SupervisorState.Machine
  now = 0
  /** Actions since last looked at. */
  log: Array<string> = []
  done = 0
  /** Incarnations that live; whether each was asked to stop. */
  readonly living = new Map<string, { readonly incarnation: number; stopping: boolean }>()
  readonly spawned = new Map<string, number>()
  readonly policies: Array<{ readonly id: string; readonly incarnation: number }> = []
  readonly delays = new Map<string, number>()
  timer = false

  constructor(over: Partial<SupervisorState.Settings>, children: ReadonlyArray<[string, RestartMode]>) {
    this.machine = SupervisorState.make(
      settings(over),
      children.map(([id, restart]) => ({ id, restart }))
    )
  }

  input(input: Input): this {
    const { actions, machine } = SupervisorMachine.decide(this.machine, input)
    this.machine = machine
    for (const action of actions) {
      this.log.push(text(action))
      this.#carryOut(action)
    }
    return this
  }

  #carryOut(action: Action): void {
    switch (action._tag) {
      case "Spawn":
        expect(this.living.has(action.id), `${action.id} lives and is spawned again`).toBe(false)
        expect(action.incarnation).toBe((this.spawned.get(action.id) ?? 0) + 1)
        expect(["Running"]).toContain(this.machine.mode)
        this.spawned.set(action.id, action.incarnation)
        this.living.set(action.id, { incarnation: action.incarnation, stopping: false })
        return
      case "StopChild": {
        const child = this.living.get(action.id)
        expect(child, `${action.id} is stopped and does not live`).toBeDefined()
        if (child !== undefined) child.stopping = true
        return
      }
      case "AskPolicy":
        this.policies.push({ id: action.crash.id, incarnation: action.incarnation })
        return
      case "StartDelay":
        this.delays.set(action.id, action.incarnation)
        return
      case "CancelDelay":
        this.delays.delete(action.id)
        return
      case "StartBreakerTimer":
        this.timer = true
        return
      case "CancelBreakerTimer":
        this.timer = false
        return
      case "Removed":
        expect(this.living.has(action.id)).toBe(false)
        this.spawned.delete(action.id)
        return
      case "Done":
        expect(this.living.size, "done while children live").toBe(0)
        this.done += 1
    }
  }

  started(id: string): this {
    return this.input({ _tag: "Started", id, incarnation: this.living.get(id)?.incarnation ?? -1, now: this.now })
  }

  exits(id: string, exit: LifecycleExit): this {
    const incarnation = this.living.get(id)?.incarnation ?? -1
    this.living.delete(id)
    return this.input({ _tag: "Exited", id, incarnation, now: this.now, exit })
  }

  /** The policy's answer to the oldest question, and the end of the delay. */
  respawns(delayMs = 100): this {
    const asked = this.policies.shift()
    if (asked === undefined) throw new Error("no policy was asked")
    this.input({ _tag: "RespawnDecided", ...asked, delayMs })
    return this.delayOver(asked.id)
  }

  delayOver(id: string): this {
    const incarnation = this.delays.get(id)
    if (incarnation === undefined) return this
    this.delays.delete(id)
    return this.input({ _tag: "DelayOver", id, incarnation })
  }

  givesUp(): this {
    const asked = this.policies.shift()
    if (asked === undefined) throw new Error("no policy was asked")
    return this.input({ _tag: "GiveUpDecided", ...asked })
  }

  elapsed(ms: number): this {
    this.now += ms
    this.timer = false
    return this.input({ _tag: "BreakerElapsed", now: this.now })
  }

  /** The actions since last asked. */
  take(): ReadonlyArray<string> {
    const { log } = this
    this.log = []
    return log
  }

  phase(id: string): string | undefined {
    return SupervisorState.childOf(this.machine, id)?.phase
  }
}

export const always: ReadonlyArray<[string, RestartMode]> = [
  ["a", "always"],
  ["b", "always"],
  ["c", "always"]
]

export const running = (over: Partial<SupervisorState.Settings>, children = always): World => {
  const world = new World(over, children).input({ _tag: "StartAsked" })
  for (const [id] of children) world.started(id)
  world.take()
  return world
}

/** Lets everything come to its end that is under way: starts, stops, policies, delays, timers. */
export const settle = (world: World): void => {
  for (let i = 0; i < 500; i++) {
    const stopping = [...world.living].find(([, child]) => child.stopping)
    if (stopping !== undefined) {
      world.exits(stopping[0], stopped)
      continue
    }
    const starting = [...world.living.keys()].find((id) => world.phase(id) === "Starting")
    if (starting !== undefined) {
      world.started(starting)
      continue
    }
    if (world.policies.length > 0) {
      world.input({ _tag: "RespawnDecided", ...(world.policies.shift() ?? { id: "", incarnation: 0 }), delayMs: 1 })
      continue
    }
    const delay = [...world.delays.keys()][0]
    if (delay !== undefined) {
      world.delayOver(delay)
      continue
    }
    if (!world.timer) return
    world.elapsed(100_000)
  }
  throw new Error("it never comes to rest")
}
