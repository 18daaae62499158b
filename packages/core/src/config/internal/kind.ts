/**
 * How a value of `nerve.yaml` is read: what it is called, what is expected of it, and what is said of one
 * that is something else. Pure.
 */
import { type KeyPath, quote } from "../ConfigProblem.ts"
import type { Tree } from "./yamlTree.ts"

/** A problem as a kind or a check reports it: the parser adds line and column. */
export interface Complaint {
  readonly path: KeyPath
  /** Whether the key is at fault, or its value. */
  readonly at: "key" | "value"
  readonly message: string
  readonly expected: string
  readonly suggestion?: string | null
  /** Something is missing; see `Finding`. */
  readonly isAbsence?: boolean
}
export type Report = (complaint: Complaint) => void

/** How a value is read. `undefined` stands for one that was refused, and reported. */
export interface Kind<A> {
  /** For the documentation: `duration`, `whole number`. */
  readonly type: string
  /** For messages: `a whole number from 1 to 1000`. */
  readonly expected: string
  readonly read: (node: Tree, path: KeyPath, report: Report) => A | undefined
}

/** The value as a message names it. */
export const describe = (node: Tree): string => {
  switch (node._tag) {
    case "Mapping":
      return "a mapping"
    case "List":
      return "a list"
    case "Scalar":
      if (node.kind === "null") return "no value"
      return node.kind === "text" || node.text.length > 60 ? quote(node.text) : node.text
    case "Refused":
      return "a refused value"
  }
}

/** Reports a value that is of another kind altogether. */
export const mismatch = (
  node: Tree,
  path: KeyPath,
  report: Report,
  expected: string,
  suggestion: string | null = null
) => {
  if (node._tag !== "Refused") report({ path, at: "value", message: `found ${describe(node)}`, expected, suggestion })
  return undefined
}

/** `a, b or c` */
export const oneOf = (names: ReadonlyArray<string>): string =>
  names.length === 1 ? names.join() : `${names.slice(0, -1).join(", ")} or ${names.slice(-1).join()}`
