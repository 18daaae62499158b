/**
 * The two frames that only a spare knows: it says `warm` when it has booted, and is told by `assign` which
 * module it runs from then on. After that it is a worker like any other. Wire format between the Spawner
 * and nerve's own worker entry; workers in other languages are never spares.
 */
import * as Schema from "effect/Schema"

/** The argument of the worker entry, in place of a module, that makes it a spare. */
export const spareArgument = "--spare"

export const Warm = Schema.Struct({ t: Schema.Literal("warm") })

/** What the command line, the environment and the working directory say to a worker that is started. */
export const Assign = Schema.Struct({
  t: Schema.Literal("assign"),
  module: Schema.String,
  args: Schema.Array(Schema.String),
  /** Set over what the spare was started with. */
  env: Schema.Record(Schema.String, Schema.String),
  /** Null: it stays where it is. */
  cwd: Schema.NullOr(Schema.String)
})
export type Assign = typeof Assign.Type

export const isWarm: (frame: unknown) => boolean = Schema.is(Warm)

export const isAssign: (frame: unknown) => frame is Assign = Schema.is(Assign)
