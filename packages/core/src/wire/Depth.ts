/**
 * How deep a frame is nested, looked at before it is parsed: half a million brackets, one in the other, take V8 60 times as
 * long as a text of that length, and the memory of a frame a hundred times as long. Nobody means that.
 */

/** Levels that a long frame may have. Node itself writes no more than some thousands. */
export const maxDepth = 10_000

/** Characters from which on it is worth a look: a shorter frame holds nobody up, whatever is in it. */
export const looked = 256 * 1024

const quote = 0x22
const backslash = 0x5c
const openArray = 0x5b
const closeArray = 0x5d
const openObject = 0x7b
const closeObject = 0x7d

/** The end of the string that begins at `from`, or of the text. */
const endOfString = (text: string, from: number): number => {
  for (let at = text.indexOf('"', from + 1); at !== -1; at = text.indexOf('"', at + 1)) {
    let escapes = at
    while (text.charCodeAt(escapes - 1) === backslash) escapes -= 1
    if ((at - escapes) % 2 === 0) return at
  }
  return text.length
}

/** Whether a text that may be JSON goes deeper than that. Strings are passed over. */
export const isTooDeep = (text: string): boolean => {
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === quote) at = endOfString(text, at)
    else if (code === openArray || code === openObject) {
      depth += 1
      if (depth > maxDepth) return true
    } else if (code === closeArray || code === closeObject) depth -= 1
  }
  return false
}
