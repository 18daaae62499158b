/**
 * A flag whose value is JSON. A mistake is a usage mistake (exit code 2).
 */
import * as Flag from "effect/cli/Flag"
import * as Schema from "effect/Schema"

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Json))

/** `{"amount": 3}`, `"text"`, `42`. */
export const json = (name: string): Flag.Flag<Schema.Json> =>
  Flag.String(name).pipe(
    Flag.withMetavar("JSON"),
    Flag.filterMap(decode, () => `JSON, such as '{"amount": 3}' or '"a text"'`)
  )
