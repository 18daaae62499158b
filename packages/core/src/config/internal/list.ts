/**
 * Lists. Pure.
 */
import { describe, type Kind, mismatch } from "./kind.ts"

/** A list in which no text may be there twice. Items that are refused are left out of it. */
export const list = <A>(noun: string, item: Kind<A>): Kind<ReadonlyArray<A>> => {
  const type = `list of ${noun}`
  const expected = `a ${type}`
  return {
    type,
    expected,
    read: (node, path, report) => {
      if (node._tag !== "List") {
        const isShort = node._tag === "Scalar" && node.text.length < 60
        return mismatch(node, path, report, expected, isShort ? `[${node.text}]` : null)
      }
      const texts = new Set<string>()
      return node.items.flatMap((child, index) => {
        const at = [...path, index]
        const value = item.read(child, at, report)
        if (value === undefined) return []
        if (child._tag !== "Scalar") return [value]
        if (!texts.has(child.text)) {
          texts.add(child.text)
          return [value]
        }
        report({ path: at, at: "value", message: `${describe(child)} is there twice`, expected: "each once" })
        return []
      })
    }
  }
}
