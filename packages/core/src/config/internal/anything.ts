/**
 * Values that are not for nerve to check. Pure.
 */
import type * as Schema from "effect/Schema"
import { type Kind, mismatch } from "./kind.ts"
import type { ScalarNode, Tree } from "./yamlTree.ts"

/**
 * A mapping of any values, for somebody else to check. What looks like a number, a truth value or nothing is
 * one, as everywhere in YAML; `"0123"` in quotes stays a text.
 */
export const anything: Kind<Schema.Json> = {
  type: "mapping",
  expected: "a mapping of any values",
  read: (node, path, report) =>
    node._tag === "Mapping" ? toJson(node) : mismatch(node, path, report, anything.expected)
}

const toJson = (node: Tree): Schema.Json => {
  switch (node._tag) {
    case "Mapping":
      return Object.fromEntries(Array.from(node.entries, ([key, { value }]) => [key, toJson(value)]))
    case "List":
      return node.items.map(toJson)
    case "Refused":
      return null
    case "Scalar":
      return scalarToJson(node)
  }
}

const scalarToJson = ({ kind, number, text }: ScalarNode): Schema.Json => {
  switch (kind) {
    case "null":
      return null
    case "boolean":
      return text.toLowerCase() === "true"
    case "number":
      return Number.isFinite(number) ? number : text
    case "text":
      return text
  }
}
