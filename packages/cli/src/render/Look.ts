/**
 * What a view knows besides what it shows.
 */
import type { Style } from "./Style.ts"

/** Now, in milliseconds since the Unix epoch, and how to colour. */
export interface Look {
  readonly now: number
  readonly style: Style
}
