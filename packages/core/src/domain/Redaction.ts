/**
 * Keeps secrets out of what is stored: their values are replaced wherever they stand in a text. Pure.
 *
 * What counts as secret: the value of an environment variable that workers may see and whose name says
 * so (`OPENAI_API_KEY`, `GITHUB_TOKEN`, `DB_PASSWORD`), when it is long enough not to be a common word.
 */
import type * as Schema from "effect/Schema"

/** What stands in a secret's place. */
export const REDACTED = "<redacted>"

/** Shorter values would take ordinary words with them. */
const SHORTEST = 8

/** A part of a secret of this length tells nothing. */
const SHORTEST_PART = 4

/** What stands at the end of a text of which only the beginning is kept. */
const CUT_MARK = "…"

/** A text as long as this may be the end of a longer one, such as the last 2048 characters of what was printed. */
const LONG = 2_000

/** Whether a variable's name says that its value is secret. */
export const isSecretName = (name: string): boolean =>
  /(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?)(?:_|$)/i.test(name)

/** The secret values among these variables. */
export const secretsOf = (
  variables: Iterable<readonly [name: string, value: string | undefined]>
): ReadonlyArray<string> =>
  [...variables].flatMap(([name, value]) =>
    value !== undefined && value.length >= SHORTEST && isSecretName(name) ? [value] : []
  )

/**
 * A function that replaces each secret in all texts and keys of a value. The longest first: one may hold another.
 * Texts are cut in many places, some of them in processes that know of no secrets: what a cut has left of one is
 * replaced too.
 */
export const make = (secrets: ReadonlyArray<string>): ((value: Schema.Json) => Schema.Json) => {
  const known = [...new Set(secrets)].filter((secret) => secret !== "").toSorted((a, b) => b.length - a.length)
  if (known.length === 0) return (value) => value
  const clean = (text: string): string => {
    const whole = known.reduce((left, secret) => left.replaceAll(secret, REDACTED), text)
    const ended = text.endsWith(CUT_MARK) ? cleanEnd(whole, known) : whole
    return text.length < LONG ? ended : cleanStart(ended, known)
  }
  const redact = (value: Schema.Json): Schema.Json => {
    if (typeof value === "string") return clean(value)
    if (Array.isArray(value)) return value.map(redact)
    if (typeof value !== "object" || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [clean(key), redact(part)]))
  }
  return redact
}

/** Without the beginning of a secret that is left before the mark of a cut. */
const cleanEnd = (text: string, secrets: ReadonlyArray<string>): string => {
  const kept = text.slice(0, -CUT_MARK.length)
  const length = partLength(secrets, (secret, length) => kept.endsWith(secret.slice(0, length)))
  return length === 0 ? text : `${kept.slice(0, -length)}${REDACTED}${CUT_MARK}`
}

/** Without the end of a secret that is left where a text begins. */
const cleanStart = (text: string, secrets: ReadonlyArray<string>): string => {
  const length = partLength(secrets, (secret, length) => text.startsWith(secret.slice(-length)))
  return length === 0 ? text : `${REDACTED}${text.slice(length)}`
}

/** The length of the longest part of a secret that is there; 0 if none is. */
const partLength = (secrets: ReadonlyArray<string>, isThere: (secret: string, length: number) => boolean): number => {
  let longest = 0
  for (const secret of secrets) {
    for (let length = secret.length - 1; length >= Math.max(SHORTEST_PART, longest + 1); length--) {
      if (!isThere(secret, length)) continue
      longest = length
      break
    }
  }
  return longest
}
