/**
 * The kinds of single values. Pure.
 */
import * as Result from "effect/Result"
import * as DurationText from "../DurationText.ts"
import * as Suggest from "../Suggest.ts"
import { describe, type Kind, mismatch, oneOf } from "./kind.ts"
import { isBlank, isNull } from "./yamlTree.ts"

/** `500ms`, `10m`; milliseconds. The bounds are written likewise. */
export const duration = (least: string, most: string): Kind<number> => {
  const expected = `${DurationText.expected}, from ${least} to ${most}`
  const [leastMs, mostMs] = [millisecondsOf(least), millisecondsOf(most)]
  return {
    type: "duration",
    expected,
    read: (node, path, report) => {
      if (node._tag !== "Scalar" || isNull(node)) return mismatch(node, path, report, expected)
      const complain = (message: string, suggestion: string | null = null) =>
        report({ path, at: "value", message: `${describe(node)} ${message}`, expected, suggestion })
      const parsed = DurationText.parse(node.text)
      if (Result.isFailure(parsed)) complain(parsed.failure.reason, parsed.failure.suggestion)
      else if (parsed.success < leastMs) complain("is too short")
      else if (parsed.success > mostMs) complain("is too long")
      else return parsed.success
      return undefined
    }
  }
}

const millisecondsOf = (text: string): number => Result.getOrThrow(DurationText.parse(text))

/** A text that a function reads: it says why not, and what was probably meant. */
export const parsed = (
  type: string,
  expected: string,
  parse: (text: string) => Result.Result<unknown, { readonly reason: string; readonly suggestion: string | null }>
): Kind<string> => ({
  type,
  expected,
  read: (node, path, report) => {
    if (node._tag !== "Scalar" || isNull(node)) return mismatch(node, path, report, expected)
    const result = parse(node.text)
    if (Result.isSuccess(result)) return node.text
    const { reason, suggestion } = result.failure
    report({ path, at: "value", message: `${describe(node)} ${reason}`, expected, suggestion })
    return undefined
  }
})

/** Bounds included. */
export const integer = (least: number, most: number): Kind<number> => {
  const expected = `a whole number from ${least} to ${most}`
  return {
    type: "whole number",
    expected,
    read: (node, path, report) => {
      if (node._tag !== "Scalar" || node.kind !== "number") {
        const isQuoted = node._tag === "Scalar" && /^\d{1,15}$/.test(node.text)
        return mismatch(node, path, report, isQuoted ? `${expected}, without quotes` : expected)
      }
      const isWithin = Number.isInteger(node.number) && node.number >= least && node.number <= most
      return isWithin ? node.number : mismatch(node, path, report, expected)
    }
  }
}

/** Bounds included. */
export const decimal = (least: number, most: number): Kind<number> => {
  const expected = `a number from ${least} to ${most}`
  return {
    type: "number",
    expected,
    read: (node, path, report) =>
      node._tag === "Scalar" && node.kind === "number" && node.number >= least && node.number <= most
        ? node.number
        : mismatch(node, path, report, expected)
  }
}

/** One of these texts. */
export const choice = <const Values extends ReadonlyArray<string>>(...values: Values): Kind<Values[number]> => {
  const expected = oneOf(values)
  return {
    type: values.map((value) => `\`${value}\``).join(", "),
    expected,
    read: (node, path, report) => {
      if (node._tag !== "Scalar" || isNull(node)) return mismatch(node, path, report, expected)
      const found: Values[number] | undefined = values.find((value) => value === node.text)
      return found ?? mismatch(node, path, report, expected, Suggest.nearest(node.text, values))
    }
  }
}

/**
 * A text by a pattern. A number is taken as it is written (`0123` stays `0123`), for what is expected
 * is text anyway; `true` and `false` are refused, for they are more likely meant as an answer.
 */
export const text = (expected: string, pattern: RegExp): Kind<string> => ({
  type: "text",
  expected,
  read: (node, path, report) => {
    if (node._tag !== "Scalar" || isNull(node)) return mismatch(node, path, report, expected)
    if (node.kind === "boolean") return mismatch(node, path, report, `${expected}; in quotes if this is one`)
    return pattern.test(node.text) ? node.text : mismatch(node, path, report, expected)
  }
})

/** An environment variable by its name; `$NAME` and `NAME=value` are usual slips. */
export const variable: Kind<string> = {
  type: "variable name",
  expected: "the name of an environment variable, such as OPENAI_API_KEY",
  read: (node, path, report) => {
    const { expected } = variable
    if (node._tag !== "Scalar" || isBlank(node)) return mismatch(node, path, report, expected)
    if (/^[A-Za-z_][A-Za-z0-9_]{0,254}$/.test(node.text)) return node.text
    const [, inner = null] = /^\$?\{?([A-Za-z_][A-Za-z0-9_]{0,63})\}?(?:=.*)?$/.exec(node.text) ?? []
    return mismatch(node, path, report, expected, inner)
  }
}
