/**
 * A problem that a user can mend: what is wrong, where, and what to do about it. User code that fails
 * to load, a migration that fails, a broken `nerve.yaml`: each becomes one of these.
 */
import * as Schema from "effect/Schema"

/** Where and why, in words for a person. Wire format: travels to the CLI as it is. */
export const Problem = Schema.Struct({
  /** Kind of the problem, kebab-case: `module-missing`, `migration-failed`. */
  code: Schema.String,
  message: Schema.String,
  /** File concerned, relative to the workspace where possible. */
  file: Schema.NullOr(Schema.String),
  /** What to do about it; empty when the message says it all. */
  hint: Schema.String
})
export type Problem = typeof Problem.Type
