/**
 * A supervisor's machine while one input is worked on: the parts of a decision replace parts of it and note
 * actions. It never leaves `decide`.
 */
import * as HashMap from "effect/HashMap"
import type { Action } from "../SupervisorMachine.ts"
import { type Child, childOf, type Machine } from "../SupervisorState.ts"

export class Draft {
  machine: Machine
  readonly actions: Array<Action> = []

  constructor(machine: Machine) {
    this.machine = machine
  }

  child(id: string): Child | undefined {
    return childOf(this.machine, id)
  }

  set(change: Partial<Machine>): void {
    this.machine = { ...this.machine, ...change }
  }

  setChild(child: Child, change: Partial<Child>): void {
    this.set({ children: HashMap.set(this.machine.children, child.id, { ...child, ...change }) })
  }

  act(action: Action): void {
    this.actions.push(action)
  }
}
