/**
 * A command that has failed and words it itself: what is shown is the message as it is, without
 * `nerve:` in front. An empty message: everything has been said, on stdout as JSON for instance.
 */
import * as Schema from "effect/Schema"

export class Failed extends Schema.TaggedError<Failed>()("Failed", {
  message: Schema.String
}) {}
