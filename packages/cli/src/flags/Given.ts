/**
 * Flags that may be left out, as fields of a request. Pure.
 */
import type * as Option from "effect/Option"
import * as Record from "effect/Record"

type Options = Readonly<Record<string, Option.Option<unknown>>>

/** Each option as a field that may be absent. */
export type Given<O extends Options> = {
  readonly [Name in keyof O]?: O[Name] extends Option.Option<infer A> ? A : never
}

/** The fields that were told; the others are absent, not undefined. */
export const given = <O extends Options>(options: O): Given<O> =>
  // Each name keeps its own value; the type of `getSomes` forgets which.
  Record.getSomes(options) as Given<O>
