/**
 * Mappings: of known keys, and by names that the author chooses. Pure.
 */
import * as Schema from "effect/Schema"
import { type KeyPath, quote } from "../ConfigProblem.ts"
import * as Suggest from "../Suggest.ts"
import { type Kind, mismatch, oneOf, type Report } from "./kind.ts"
import { nameExpected, nearestName } from "./names.ts"
import { isNull, type MappingNode } from "./yamlTree.ts"

/** One key of a mapping. `fallback` is what no value stands for; without it there must be one. */
export interface Key<A> {
  readonly kind: Kind<A>
  readonly fallback?: { readonly value: A }
  /** The default in words, for the documentation. */
  readonly default: string
  readonly meaning: string
}

type Keys = Readonly<Record<string, Key<unknown>>>
type ValueOf<K extends Keys> = { readonly [Name in keyof K]: K[Name] extends Key<infer A> ? A : never }

/** A mapping of known keys; `keys` is what the documentation shows. */
export interface MappingKind<A> extends Kind<A> {
  readonly keys: Keys
}

/** A key that must be there. */
export const required = <A>(kind: Kind<A>, meaning: string): Key<A> => ({ kind, default: "required", meaning })

/** A key that may be left out, for this value; `inWords` is how the documentation tells it. */
export const optional = <A, const B>(kind: Kind<A>, value: B, inWords: string, meaning: string): Key<A | B> => ({
  kind,
  fallback: { value },
  default: inWords,
  meaning
})

/**
 * A mapping of known keys. No value at all stands for a mapping without keys. A key that may be left
 * out and was refused reads as if it were left out, so that later checks still see the rest; `check`
 * sees what was read, without what was refused.
 */
export const mapping = <const K extends Keys>(
  keys: K,
  check?: (value: Partial<ValueOf<K>>, path: KeyPath, report: Report) => void
): MappingKind<ValueOf<K>> => {
  const names = Object.keys(keys)
  const expected = `a mapping with ${oneOf(names)}`
  return {
    type: "mapping",
    expected,
    keys,
    read: (node, path, report) => {
      if (node._tag !== "Mapping" && !isNull(node)) return mismatch(node, path, report, expected)
      const entries: MappingNode["entries"] = node._tag === "Mapping" ? node.entries : new Map()
      for (const found of entries.keys()) if (!Object.hasOwn(keys, found)) unknownKey(found, names, path, report)

      const values: Record<string, unknown> = {}
      const sound: Record<string, unknown> = {}
      let complete = true
      for (const [key, { fallback, kind }] of Object.entries(keys)) {
        const entry = entries.get(key)
        const isAbsent = entry === undefined || (fallback !== undefined && isNull(entry.value))
        const value = isAbsent ? fallback?.value : kind.read(entry.value, [...path, key], report)
        if (value !== undefined) sound[key] = value
        if (entry === undefined && fallback === undefined) {
          report({ path: [...path, key], at: "key", message: "missing key", expected: kind.expected, isAbsence: true })
        }
        values[key] = value === undefined ? fallback?.value : value
        complete &&= values[key] !== undefined
      }
      // The loop has filled each key with what its own kind read: a type that follows a table's keys
      // cannot be built up without saying so.
      check?.(sound as Partial<ValueOf<K>>, path, report)
      return complete ? (values as ValueOf<K>) : undefined
    }
  }
}

const unknownKey = (found: string, names: ReadonlyArray<string>, path: KeyPath, report: Report) =>
  report({
    path: [...path, found],
    at: "key",
    message: "unknown key",
    expected: oneOf(names),
    // `gracePeriod` and `grace-period` are habits from elsewhere.
    suggestion: Suggest.nearest(found.replace(/([a-z])([A-Z])/g, "$1_$2").replaceAll("-", "_"), names)
  })

/** A mapping from names that the author chooses. */
export const named = <Name extends string, A extends object>(
  noun: string,
  nameSchema: Schema.Codec<Name, string>,
  kind: MappingKind<A>
): MappingKind<ReadonlyArray<A & { readonly name: Name }>> => {
  const is = Schema.is(nameSchema)
  const expected = `a mapping: a ${noun} name, a colon, and its settings beneath`
  return {
    type: `mapping by ${noun} name`,
    expected,
    keys: kind.keys,
    read: (node, path, report) => {
      if (node._tag !== "Mapping") return mismatch(node, path, report, expected)
      const values: Array<A & { readonly name: Name }> = []
      const byCase = new Map<string, string>()
      for (const [key, entry] of node.entries) {
        const at = [...path, key]
        const complain = (message: string, expected: string, suggestion: string | null = null) =>
          report({ path: at, at: "key", message, expected, suggestion })
        const twin = byCase.get(key.toLowerCase())
        // Names become file names, and not every file system tells `CPU` from `cpu`.
        if (twin !== undefined) complain(`only its case tells it from ${quote(twin)}`, "another name")
        byCase.set(key.toLowerCase(), key)
        const value = kind.read(entry.value, at, report)
        if (!is(key)) complain(`${quote(key)} cannot be a name`, nameExpected(noun), nearestName(key))
        else if (value !== undefined) values.push({ ...value, name: key })
      }
      return values
    }
  }
}
