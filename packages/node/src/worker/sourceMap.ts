/**
 * Leaves of a source map only what is about some of its sources: the map of a bundle with all of Effect in it takes 50 ms
 * and 8 MB to read, that of the user's files alone next to nothing.
 *
 * Source maps, revision 3: mappings are lines (`;`) of segments (`,`) of one, four or five numbers, each the difference
 * to the same number of the segment before, in Base64 digits of five bits, the lowest first.
 */

const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
const valueOf = new Map(Array.from(digits, (digit, value) => [digit, value]))

const decode = (segment: string): ReadonlyArray<number> => {
  const numbers: Array<number> = []
  let [value, shift] = [0, 0]
  for (const digit of segment) {
    const bits = valueOf.get(digit) ?? 0
    value += (bits & 31) << shift
    shift += 5
    if ((bits & 32) !== 0) continue
    numbers.push((value & 1) === 1 ? -(value >> 1) : value >> 1)
    ;[value, shift] = [0, 0]
  }
  return numbers
}

const encode = (numbers: ReadonlyArray<number>): string => {
  let text = ""
  for (const number of numbers) {
    let rest = number < 0 ? (-number << 1) | 1 : number << 1
    do {
      const bits = rest & 31
      rest >>>= 5
      text += digits[rest > 0 ? bits | 32 : bits] ?? ""
    } while (rest > 0)
  }
  return text
}

/** The part of a source map that nerve looks at; other fields stay as they are. */
export interface SourceMap {
  readonly sources: ReadonlyArray<string>
  readonly names: ReadonlyArray<string>
  readonly mappings: string
}

/** What is of other sources is said to be of none, so that it is not taken for the last of these. Pure. */
export const only = <Map extends SourceMap>(map: Map, isWanted: (source: string) => boolean): Map => {
  const wanted = map.sources.map(isWanted)
  // Differences run over all lines, but for the column in what was generated, which begins anew with each.
  const before = [0, 0, 0, 0, 0]
  const written = [0, 0, 0, 0]
  // A place is of the segment before it, in a line further up if need be.
  let inWanted = false
  const segmentsOf = (line: string): string => {
    before[0] = written[0] = 0
    const kept: Array<string> = []
    for (const segment of line === "" ? [] : line.split(",")) {
      const differences = decode(segment)
      differences.forEach((difference, i) => (before[i] = (before[i] ?? 0) + difference))
      const isKept = differences.length > 1 && wanted[before[1] ?? 0] === true
      if (!isKept && !inWanted) continue
      inWanted = isKept
      // Without the name, the fifth: only stacks are made of it.
      const at = before.slice(0, isKept ? 4 : 1)
      kept.push(encode(at.map((value, i) => value - (written[i] ?? 0))))
      at.forEach((value, i) => (written[i] = value))
    }
    return kept.join(",")
  }
  // Node misreads a segment of one number that nothing follows, so there is an empty line at the end.
  return { ...map, names: [], mappings: `${map.mappings.split(";").map(segmentsOf).join(";")};` }
}
