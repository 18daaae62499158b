/**
 * Finds the JSON that a model put into its answer: the last ```json block that parses, or else the
 * last object. Pure; total on any text.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/** What comes before is not looked at: models put their JSON last. */
const MAX_CHARACTERS = 200_000
/** Characters looked at in all. Text full of open braces would otherwise take quadratic time. */
const MAX_WORK = 5_000_000

const parse = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))

/** Index after the brace that closes the one at `start`; undefined when none does. Knows strings. */
const closing = (text: string, start: number): number | undefined => {
  let depth = 0
  let quoted = false
  for (let at = start; at < text.length; at++) {
    const char = text[at]
    if (quoted) {
      if (char === "\\") at++
      else if (char === '"') quoted = false
    } else if (char === '"') quoted = true
    else if (char === "{") depth++
    else if (char === "}" && --depth === 0) return at + 1
  }
  return undefined
}

const lastObject = (text: string): Option.Option<unknown> => {
  let found: Option.Option<unknown> = Option.none()
  let work = 0
  let at = text.indexOf("{")
  while (at >= 0 && work < MAX_WORK) {
    const end = closing(text, at)
    work += (end ?? text.length) - at
    const value = end === undefined ? Option.none() : parse(text.slice(at, end))
    if (Option.isSome(value)) found = value
    // Braces that are no JSON may hold an object further in.
    at = text.indexOf("{", Option.isSome(value) && end !== undefined ? end : at + 1)
  }
  return found
}

/** The value; none when there is no JSON in the text. */
export const lastJson = (reply: string): Option.Option<unknown> => {
  const text = reply.slice(-MAX_CHARACTERS)
  const block = [...text.matchAll(/```json\s*\n([\s\S]*?)```/gi)]
    .map((match) => parse(match[1]))
    .findLast(Option.isSome)
  return block ?? lastObject(text)
}
