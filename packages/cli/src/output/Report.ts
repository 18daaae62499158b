/**
 * How a command's end becomes an exit code and, when it failed, words on stderr: `nerve: message`, the
 * hint beneath, no stack trace unless `--debug`. The codes are documented in docs/cli.md.
 */
import * as Cause from "effect/Cause"
import * as CliError from "effect/cli/CliError"
import * as Exit from "effect/Exit"

/** Exit codes of the command line. */
export const ExitCode = {
  done: 0,
  failed: 1,
  usage: 2,
  /** 128 and the number of SIGINT, as shells have it. */
  interrupted: 130
} as const

/** What to say, and with which code to end. `text` is null when there is nothing to say. */
export interface Report {
  readonly code: number
  readonly text: string | null
}

const tagOf = (error: unknown): unknown =>
  typeof error === "object" && error !== null && "_tag" in error ? error._tag : undefined

const stringOf = (error: unknown, field: "message" | "hint"): string => {
  if (typeof error !== "object" || error === null || !(field in error)) return ""
  const value: unknown = field === "message" ? Reflect.get(error, "message") : Reflect.get(error, "hint")
  return typeof value === "string" ? value : ""
}

/** `nerve: message`, and the hint on a line of its own. */
export const format = (error: unknown): string => {
  const message = stringOf(error, "message") || String(tagOf(error) ?? error)
  const hint = stringOf(error, "hint")
  return `nerve: ${message}${hint === "" ? "" : `\n  ${hint}`}`
}

/** The end of a command. */
export const of = (exit: Exit.Exit<unknown, unknown>, options: { readonly debug: boolean }): Report => {
  if (Exit.isSuccess(exit)) return { code: ExitCode.done, text: null }
  if (Cause.hasInterruptsOnly(exit.cause)) return { code: ExitCode.interrupted, text: null }
  const error = Cause.squash(exit.cause)
  switch (tagOf(error)) {
    // The reader of stdout has what it wanted.
    case "OutputClosed":
      return { code: ExitCode.done, text: null }
    // Help or the mistake has been shown by the presenter.
    case "ShowHelp":
      return { code: ExitCode.usage, text: null }
    // Said what there is to say itself.
    case "Failed":
      return { code: ExitCode.failed, text: stringOf(error, "message") || null }
  }
  if (options.debug) return { code: ExitCode.failed, text: `${format(error)}\n\n${Cause.pretty(exit.cause)}` }
  const isBug = Cause.hasDies(exit.cause)
  const advice = isBug ? "\n  this is a fault of nerve itself; --debug shows where" : ""
  return { code: CliError.isCliError(error) ? ExitCode.usage : ExitCode.failed, text: `${format(error)}${advice}` }
}
