/**
 * What a worker of a tree refuses: a second start, and to be suspended or resumed.
 */
import { LifecycleState } from "@nerve/core/supervision/LifecycleState"
import * as Schema from "effect/Schema"

/** It was started before. A life begins once; make another worker for another one. */
export class AlreadyStarted extends Schema.TaggedError<AlreadyStarted>()("AlreadyStarted", {
  id: Schema.String,
  state: LifecycleState
}) {
  override get message(): string {
    return `worker ${JSON.stringify(this.id)} was started before: it is ${this.state}`
  }
}

/** Which worker could not be suspended or resumed: the ids from the root to it, and why. */
export const SuspendFailure = Schema.Struct({ path: Schema.Array(Schema.String), reason: Schema.String })
export type SuspendFailure = typeof SuspendFailure.Type

/** Some could not be suspended, or resumed; the others were (L8). */
export class SuspendFailed extends Schema.TaggedError<SuspendFailed>()("SuspendFailed", {
  operation: Schema.Literals(["suspend", "resume"]),
  failures: Schema.Array(SuspendFailure)
}) {
  override get message(): string {
    return `cannot ${this.operation} ${this.failures.map((one) => `${one.path.join("/")}: ${one.reason}`).join("; ")}`
  }
}
