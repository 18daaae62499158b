/**
 * The part of a bundled worker (`WorkerBundle`) that is nerve's: in the bundle it stands before the user's modules. So
 * the channel is open before any of their code runs, and a spare waits here until it is told what it is: their code
 * then sees the environment, the arguments and the folder of the worker that it has become.
 */
import type * as Worker from "@nerve/runtime/ipc/Worker"
import * as Effect from "effect/Effect"
import * as bundleStacks from "./bundleStacks.ts"
import { moduleProgram } from "./moduleProgram.ts"
import { spareArgument } from "./spareFrames.ts"
import { warmUp } from "./warmUp.ts"
import * as WorkerMain from "./WorkerMain.ts"

const program = Promise.withResolvers<Worker.Program>()
const begun = Promise.withResolvers<void>()
const isSpare = process.argv[2] === spareArgument

bundleStacks.install(import.meta.url)

const load = () => {
  begun.resolve()
  return program.promise
}

WorkerMain.run(load, isSpare ? { warm: () => Effect.runPromise(warmUp) } : undefined)
if (isSpare) await begun.promise

// A module that throws while it is evaluated could not be loaded, and says so like any other. Left to Node, it would be
// printed with the line of the bundle.
process.once("uncaughtException", program.reject)

/** Runs what the user's module exports. */
export const serve = (exported: unknown): void => {
  program.resolve(moduleProgram(exported, process.argv[2] ?? "this module"))
  process.removeListener("uncaughtException", program.reject)
}
