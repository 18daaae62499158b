/**
 * Names that the author chooses, and names that refer to them. Pure.
 */
import * as Schema from "effect/Schema"
import { SenseName } from "../../domain/Ids.ts"
import type { KeyPath } from "../ConfigProblem.ts"
import { type Kind, mismatch } from "./kind.ts"
import { isBlank } from "./yamlTree.ts"

/** What is expected of a name. */
export const nameExpected = (noun: string) =>
  `a ${noun} name: letters, digits, "-", "_" and ".", at most 64, a letter or digit first`

/** A valid name that is like the given one: other characters become dashes. */
export const nearestName = (value: string): string | null => {
  const mended = value
    .trim()
    .slice(0, 64)
    .replace(/[^A-Za-z0-9._-]+/g, "-")
    .replace(/^[._-]+|[._-]+$/g, "")
  return mended === "" || mended === value ? null : mended
}

/** A name by a schema of `domain/Ids`, exactly as written: `true` and `1e3` are names too. */
export const name = <A extends string>(schema: Schema.Codec<A, string>, noun: string): Kind<A> => {
  const is = Schema.is(schema)
  const expected = nameExpected(noun)
  return {
    type: `${noun} name`,
    expected,
    read: (node, path, report) => {
      if (node._tag !== "Scalar" || isBlank(node)) return mismatch(node, path, report, expected)
      return is(node.text) ? node.text : mismatch(node, path, report, expected, nearestName(node.text))
    }
  }
}

/** A sense's name together with its place, for it must be looked up in the whole file. */
export interface Reference {
  readonly sense: SenseName
  readonly path: KeyPath
}

const senseName = name(SenseName, "sense")

/** A sense by its name. */
export const reference: Kind<Reference> = {
  ...senseName,
  read: (node, path, report) => {
    const sense = senseName.read(node, path, report)
    return sense === undefined ? undefined : { sense, path }
  }
}
