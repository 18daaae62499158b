/**
 * Shows a value as JSON with `--json`, else as text for people.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { JsonFlag } from "../flags/Global.ts"
import type { Look } from "../render/Look.ts"
import * as Output from "./Output.ts"

/** Now, and the terminal's colours. */
export const look: Effect.Effect<Look> = Effect.all({ now: Clock.currentTimeMillis, style: Output.style })

/** One document. `json` is what stands for the value in JSON, the value itself unless told. */
export const show = Effect.fnUntraced(function* <A>(
  value: A,
  render: (value: A, look: Look) => string,
  json: unknown = value
) {
  if (yield* JsonFlag) return yield* Output.json(json)
  return yield* Output.text(render(value, yield* look))
})
