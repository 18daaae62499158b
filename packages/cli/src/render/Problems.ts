/**
 * What is wrong with the rows of a table, beneath it. Pure.
 */
import type { Problem } from "@nerve/core/domain/Problem"
import type { Style } from "./Style.ts"
import { safe } from "./Text.ts"

/** What may have a problem. */
interface Item {
  readonly name: string
  readonly problem: Problem | null
}

/** The table, and beneath it the problem of each item that has one, with what to do about it. */
export const withProblems = (table: string, items: ReadonlyArray<Item>, style: Style): string => {
  const lines = items.flatMap((item) => linesOf(item, style))
  return lines.length === 0 ? table : [table, "", ...lines].join("\n")
}

const linesOf = ({ name, problem }: Item, style: Style): ReadonlyArray<string> =>
  problem === null
    ? []
    : [
        `${style.red(`${name}: ${safe(problem.message)}`)}${placeOf(problem)}`,
        ...(problem.hint === "" ? [] : [`  ${safe(problem.hint)}`])
      ]

/** Most messages begin with the file. */
const placeOf = ({ file, message }: Problem): string => (file === null || message.includes(file) ? "" : ` (${file})`)
