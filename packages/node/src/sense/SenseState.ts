/**
 * The state of a sense during one compute: read when it is first asked for, kept in memory when set, and
 * handed over to be saved when the compute ends well.
 */
import type { Sense, State } from "@nerve/core/authoring/Sense"
import type { Problem } from "@nerve/core/domain/Problem"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { DatabaseSync } from "node:sqlite"
import * as UserError from "../user/UserError.ts"
import * as SenseRecord from "./SenseRecord.ts"

type Spec = Sense<unknown>["state"]

/** A state is a cursor, no table; counted in characters of JSON. */
const maxLength = 100_000

export interface Session {
  /** For the author. */
  readonly state: State<unknown>
  /** What was set last, as JSON; undefined when nothing was. */
  readonly changed: () => Schema.Json | undefined
}

/** For one compute. */
export const open = (database: DatabaseSync, spec: Spec): Session => {
  let current: { readonly value: unknown } | undefined
  let changed: Schema.Json | undefined
  const known = (): NonNullable<Spec> => {
    if (spec === null) throw new Error("this sense has no state: give Sense.make a `state`")
    return spec
  }
  return {
    state: {
      get: () => (current ??= { value: load(database, known()) }).value,
      set: (value) => {
        const json = encode(known(), value)
        current = { value }
        changed = json
      }
    },
    changed: () => changed
  }
}

/** The problem of a sense whose saved state can no longer be read. */
export const check = (database: DatabaseSync, spec: Spec, name: string, file: string): Effect.Effect<void, Problem> =>
  Effect.try({
    try: () => {
      if (spec !== null) load(database, spec)
    },
    catch: (error): Problem => ({
      code: "state-invalid",
      message: `the saved state of sense ${name} does not fit its \`state\` schema: ${UserError.inOneLine(error)}`,
      file,
      hint: "Give `state` a `migrate: (old) => …` that makes today's state of the saved one."
    })
  })

const load = (database: DatabaseSync, spec: NonNullable<Spec>): unknown => {
  const saved = SenseRecord.readState(database)
  if (saved === undefined) return spec.initial
  try {
    return spec.decode(saved)
  } catch (error) {
    if (spec.migrate === null) throw error
    return spec.migrate(saved)
  }
}

const encode = (spec: NonNullable<Spec>, value: unknown): Schema.Json => {
  const json = encodeOrThrow(spec, value)
  const { length } = JSON.stringify(json)
  if (length <= maxLength) return json
  throw new Error(`the state is ${length} characters of JSON; ${maxLength} are allowed: keep it in a table`)
}

const encodeOrThrow = (spec: NonNullable<Spec>, value: unknown): Schema.Json => {
  try {
    return spec.encode(value)
  } catch (error) {
    throw new Error(`the state does not fit its schema: ${UserError.inOneLine(error)}`, { cause: error })
  }
}
