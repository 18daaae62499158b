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

/** A function that replaces each secret in all texts and keys of a value. The longest first: one may hold another. */
export const make = (secrets: ReadonlyArray<string>): ((value: Schema.Json) => Schema.Json) => {
  const known = [...new Set(secrets)].filter((secret) => secret !== "").toSorted((a, b) => b.length - a.length)
  if (known.length === 0) return (value) => value
  const clean = (text: string): string => known.reduce((left, secret) => left.replaceAll(secret, REDACTED), text)
  const redact = (value: Schema.Json): Schema.Json => {
    if (typeof value === "string") return clean(value)
    if (Array.isArray(value)) return value.map(redact)
    if (typeof value !== "object" || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [clean(key), redact(part)]))
  }
  return redact
}
