/**
 * Colours, or none. Pure: whether a terminal wants them is decided in `Output`.
 */

/** Puts a text in a colour of the terminal's own palette. */
export interface Style {
  readonly bold: (text: string) => string
  readonly dim: (text: string) => string
  readonly red: (text: string) => string
  readonly green: (text: string) => string
  readonly yellow: (text: string) => string
  readonly cyan: (text: string) => string
}

const same = (text: string): string => text

/** No colours: for files, pipes and `NO_COLOR`. */
export const plain: Style = { bold: same, dim: same, red: same, green: same, yellow: same, cyan: same }

const sgr =
  (on: number, off: number) =>
  (text: string): string =>
    text === "" ? "" : `\u001b[${on}m${text}\u001b[${off}m`

export const colored: Style = {
  bold: sgr(1, 22),
  dim: sgr(2, 22),
  red: sgr(31, 39),
  green: sgr(32, 39),
  yellow: sgr(33, 39),
  cyan: sgr(36, 39)
}

/** How a word stands out; `none`: not at all. */
export type Tone = keyof Style | "none"

/** Which of a set of words stands out how. */
export type Tones<Word extends string> = Readonly<Record<Word, Tone>>

/** A word in its tone. */
export const tinted = <Word extends string>(style: Style, tones: Tones<Word>, word: Word): string => {
  const tone: Tone = tones[word]
  return tone === "none" ? word : style[tone](word)
}
