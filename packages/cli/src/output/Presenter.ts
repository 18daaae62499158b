/**
 * Shows help, the version and usage mistakes. What was asked for goes to stdout; what was not asked
 * for (a mistake, a missing command) goes to stderr, because stdout holds only data.
 */
import * as Suggest from "@nerve/core/config/Suggest"
import * as CliOutput from "effect/cli/CliOutput"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { safe } from "../render/Text.ts"

const formatter = (stream: NodeJS.WriteStream): CliOutput.Formatter => {
  const noColor = process.env["NO_COLOR"]
  return CliOutput.defaultFormatter({
    colors: stream.isTTY === true && (noColor === undefined || noColor === ""),
    globalFlags: "summary"
  })
}

const show = (stream: NodeJS.WriteStream, text: string): Effect.Effect<void> =>
  Effect.sync(() => {
    stream.write(`${text.trim()}\n`)
  })

/** effect/cli suggests a command's own flags; the global ones are left to us. */
const globalFlag = ({ errors, helpDoc }: CliOutput.Presenter.InvalidInvocation): ReadonlyArray<string> => {
  const known = (helpDoc.globalFlags ?? []).map((flag) => `--${flag.name}`)
  return errors.flatMap((error) => {
    if (error._tag !== "UnrecognizedOption" || error.suggestions.length > 0) return []
    const nearest = Suggest.nearest(error.option, known)
    return nearest === null ? [] : ["  Did you mean this?", `    ${nearest}`]
  })
}

/** A mistake in a few lines: `nerve: Unknown subcommand "lgos"`, what was meant, where to read more. */
const mistake = (event: CliOutput.Presenter.InvalidInvocation): string =>
  [
    ...event.errors.map((error) => `nerve: ${safe(error.message).replace(/\n+/g, "\n")}`),
    ...globalFlag(event),
    `  see: ${event.commandPath.join(" ")} --help`
  ].join("\n")

const present = (event: CliOutput.Presenter.Event): Effect.Effect<void> => {
  switch (event._tag) {
    case "Version":
      return show(process.stdout, event.version)
    case "InvalidInvocation":
      return show(process.stderr, mistake(event))
    case "Help": {
      const stream = event.reason === "Requested" ? process.stdout : process.stderr
      return show(stream, formatter(stream).formatHelpDoc(event.helpDoc))
    }
  }
}

export const layer: Layer.Layer<never> = CliOutput.layerPresenter({ present })
