/**
 * Aligned columns. Pure.
 */
import { displayWidth } from "effect/cli/CliOutput"
import { plain, type Style } from "./Style.ts"

/** One column: its heading, what stands in it, and to which side it is aligned. */
export interface Column<Row> {
  readonly title: string
  readonly value: (row: Row) => string
  readonly align?: "left" | "right"
}

/** Two spaces between columns; no white space at the ends of lines; a heading even without rows. */
export const render = <Row>(
  columns: ReadonlyArray<Column<Row>>,
  rows: ReadonlyArray<Row>,
  style: Style = plain
): string => {
  const cells = rows.map((row) => columns.map((column) => column.value(row)))
  const widths = columns.map((column, index) =>
    Math.max(displayWidth(column.title), ...cells.map((line) => displayWidth(line[index] ?? "")))
  )
  const line = (texts: ReadonlyArray<string>) =>
    texts
      .map((text, index) => pad(text, widths[index] ?? 0, columns[index]?.align ?? "left"))
      .join("  ")
      .trimEnd()
  return [style.dim(line(columns.map((column) => column.title))), ...cells.map(line)].join("\n")
}

/** By what is seen: wide letters count twice, colours not at all. */
const pad = (text: string, width: number, align: "left" | "right"): string => {
  const fill = " ".repeat(Math.max(0, width - displayWidth(text)))
  return align === "left" ? text + fill : fill + text
}
