/**
 * The frames that only a spare knows: it says `warm` when it has booted, is told by `assign` which module it runs from
 * then on, and says `assigned` before anything of that has run. After that it is a worker like any other. Wire format between the Spawner
 * and nerve's own worker entry; workers in other languages are never spares.
 *
 * Checked by hand: to make a parser of a Schema took longer than all else that an assignment does.
 */

/** The argument of the worker entry, in place of a module, that makes it a spare. */
export const spareArgument = "--spare"

/** What the command line, the environment and the working directory say to a worker that is started. */
export interface Assign {
  readonly t: "assign"
  readonly module: string
  readonly args: ReadonlyArray<string>
  /** Set over what the spare was started with. */
  readonly env: { readonly [name: string]: string }
  /** Null: it stays where it is. */
  readonly cwd: string | null
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const isText = (value: unknown): value is string => typeof value === "string"

export const isWarm = (frame: unknown): boolean => isRecord(frame) && frame.t === "warm"

export const isAssigned = (frame: unknown): boolean => isRecord(frame) && frame.t === "assigned"

export const isAssign = (frame: unknown): frame is Assign =>
  isRecord(frame) &&
  frame.t === "assign" &&
  isText(frame.module) &&
  Array.isArray(frame.args) &&
  frame.args.every(isText) &&
  isRecord(frame.env) &&
  Object.values(frame.env).every(isText) &&
  (frame.cwd === null || isText(frame.cwd))
