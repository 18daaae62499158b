/**
 * What a compute returned, checked and made ready for the wire: the signal's value encoded by the
 * sense's own Schema to JSON, its launches decoded. User code may come from JavaScript or from another
 * copy of nerve, so nothing is taken on trust.
 */
import type { Outcome, Sense } from "@nerve/core/authoring/Sense"
import { type ComputeOutcome, Launch } from "@nerve/core/wire/SenseRpcs"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { kindOf } from "../user/UserError.ts"

/** Turns what a compute returned into its outcome, or into a message that says what is wrong with it. */
export type Encoder = (returned: unknown) => Effect.Effect<ComputeOutcome, string>

/**
 * Signals are facts, not files: they go into the log and through a channel whose frames are capped at
 * 4 MB. Counted in characters of JSON.
 */
const maxSignalLength = 1_000_000

/** The encoder for what this sense returns. */
export const makeEncoder = (sense: Pick<Sense<unknown>, "encode">): Encoder =>
  Effect.fnUntraced(function* (returned) {
    const outcome = yield* Effect.fromResult(recognise(returned))
    if (outcome._tag === "NoSignal") return outcome
    const value = yield* sense
      .encode(outcome.value)
      .pipe(
        Effect.mapError((error) => `the signal's value does not fit the sense's \`signal\` schema: ${inOneLine(error)}`)
      )
    const json = yield* decodeJson(value).pipe(
      Effect.mapError((error) => `the signal's value is not JSON: ${inOneLine(error.message)}`)
    )
    const length = JSON.stringify(json).length
    if (length > maxSignalLength) {
      return yield* Effect.fail(
        `the signal's value is ${length} characters of JSON; ${maxSignalLength} are allowed: keep it in the database`
      )
    }
    const launches = yield* decodeLaunches(outcome.launches).pipe(
      Effect.mapError((error) => `a launch of the signal is not valid: ${inOneLine(error.message)}`)
    )
    return { _tag: "Signal", value: json, launches }
  })

const decodeJson = Schema.decodeUnknownEffect(Schema.Json)
const decodeLaunches = Schema.decodeUnknownEffect(Schema.Array(Launch))

type Recognised =
  | { readonly _tag: "Signal"; readonly value: unknown; readonly launches: unknown }
  | (ComputeOutcome & { readonly _tag: "NoSignal" })

const recognise = (returned: unknown): Result.Result<Recognised, string> => {
  if (returned === null || returned === undefined) return Result.succeed({ _tag: "NoSignal", reason: null })
  if (isTagged(returned, "Signal") && "value" in returned) {
    const launches = "launches" in returned ? returned.launches : []
    return Result.succeed({ _tag: "Signal", value: returned.value, launches })
  }
  if (isTagged(returned, "NoSignal")) {
    const reason = "reason" in returned ? returned.reason : null
    return Result.succeed({ _tag: "NoSignal", reason: typeof reason === "string" ? reason : null })
  }
  return Result.fail(
    `compute returned ${kindOf(returned)}: return Sense.signal(value), Sense.none or Sense.skip(reason)`
  )
}

const isTagged = (value: unknown, tag: Outcome<unknown>["_tag"]): value is { readonly _tag: typeof tag } =>
  typeof value === "object" && value !== null && "_tag" in value && value._tag === tag

/** `Expected a finite number at ["usage"]`. */
const inOneLine = (message: string): string => message.replace(/\n\s*/g, " ")
