/**
 * What a supervisor refuses about its children.
 */
import * as Schema from "effect/Schema"

/** The supervisor has a child of that id already. */
export class DuplicateChild extends Schema.TaggedError<DuplicateChild>()("DuplicateChild", { id: Schema.String }) {
  override get message(): string {
    return `there is a child ${JSON.stringify(this.id)} already`
  }
}

/** The supervisor has no child of that id. */
export class UnknownChild extends Schema.TaggedError<UnknownChild>()("UnknownChild", {
  id: Schema.String,
  known: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `no child ${JSON.stringify(this.id)}; there are: ${this.known.join(", ") || "none"}`
  }
}

/** The supervisor is stopping or has ended: it takes no children any more. */
export class SupervisorOver extends Schema.TaggedError<SupervisorOver>()("SupervisorOver", { id: Schema.String }) {
  override get message(): string {
    return `supervisor ${JSON.stringify(this.id)} is stopping or has ended`
  }
}
