/**
 * The nearest known name for a mistyped one. Pure.
 */

/** Longer texts are not typing mistakes of a name; measuring them would only cost time. */
const longestName = 64

/** Names that are compared at most: no more than this is typed by hand, and the time must be bounded. */
const mostCandidates = 2_000

/**
 * Number of single edits that turn one text into the other: insertion, deletion, substitution, and
 * the swap of two neighbours (optimal string alignment).
 */
export const distance = (left: string, right: string): number => {
  let beforeLast: Array<number> = []
  let last = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (let i = 1; i <= left.length; i++) {
    const row = [i]
    for (let j = 1; j <= right.length; j++) {
      const same = left[i - 1] === right[j - 1]
      let least = Math.min(at(last, j) + 1, at(row, j - 1) + 1, at(last, j - 1) + (same ? 0 : 1))
      if (i > 1 && j > 1 && left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1]) {
        least = Math.min(least, at(beforeLast, j - 2) + 1)
      }
      row.push(least)
    }
    beforeLast = last
    last = row
  }
  return at(last, right.length)
}

const at = (row: ReadonlyArray<number>, index: number): number => row[index] ?? 0

/**
 * The known name that is nearest to the given one, or null when none is near: a third of its letters
 * may be wrong, one letter at least and three at most. Upper and lower case count as the same; the
 * first of equally near names wins.
 */
export const nearest = (name: string, known: Iterable<string>): string | null => {
  if (name === "" || name.length > longestName) return null
  const wanted = name.toLowerCase()
  let best: string | null = null
  let bestDistance = Math.max(1, Math.min(3, Math.floor(name.length / 3))) + 1
  let compared = 0
  for (const candidate of known) {
    if (++compared > mostCandidates) break
    if (Math.abs(candidate.length - name.length) >= bestDistance) continue
    const edits = distance(wanted, candidate.toLowerCase())
    // A one-letter name is near to every other one: something of it must be right.
    if (edits < bestDistance && edits < Math.max(candidate.length, name.length)) {
      best = candidate
      bestDistance = edits
    }
  }
  return best
}
