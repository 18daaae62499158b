/**
 * Runs a program as the whole process: its services, its signals, and its end as an exit code.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as CliConfig from "effect/cli/CliConfig"
import type * as Command from "effect/cli/Command"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Output from "./output/Output.ts"
import * as Presenter from "./output/Presenter.ts"
import * as Report from "./output/Report.ts"
import { makeUnsafe, Signals } from "./Signals.ts"

/** Effect's own logs are for whoever works on nerve: on stderr, and warnings only unless `--debug`. */
const layerLogs = (debug: boolean) =>
  Layer.mergeAll(
    Layer.succeed(Logger.LogToStderr, true),
    Layer.succeed(References.MinimumLogLevel, debug ? "Debug" : "Warn")
  )

const builtIns = [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions]

/** The longest that a timer of Node takes, in milliseconds. */
const longestDelay = 2_147_483_647

/** Never returns to the caller in any useful sense: the process ends with the program. */
export const runMain = (
  program: Effect.Effect<void, unknown, Command.Environment | Signals>,
  options: { readonly debug: boolean }
): void => {
  const signals = makeUnsafe(() => fiber.interruptUnsafe())
  const layer = Layer.mergeAll(
    NodeServices.layer,
    Presenter.layer,
    CliConfig.layer({ builtIns }),
    Layer.succeed(Signals, signals),
    layerLogs(options.debug)
  )
  // A fiber that waits for a signal holds no handle that keeps Node alive.
  setInterval(() => {}, longestDelay)
  const fiber = Effect.runFork(Output.listenForErrors.pipe(Effect.andThen(program), Effect.provide(layer)))
  fiber.addObserver((exit) => {
    const { code, text } = Report.of(exit, options)
    if (text !== null) process.stderr.write(`${text}\n`)
    process.exit(code)
  })
}
