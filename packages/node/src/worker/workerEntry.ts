/**
 * Process entry of a worker that runs a user's module: `export default Worker.serve(group, handlers)`.
 * The module's URL is the first argument; a spare is told it later. Bundled to `dist/worker.mjs`.
 */
import type * as Worker from "@nerve/runtime/ipc/Worker"
import * as Effect from "effect/Effect"
import { bundledModules } from "./bundledModules.ts"
import { moduleProgram } from "./moduleProgram.ts"
import * as sharedModules from "./sharedModules.ts"
import { usual } from "./sharedSpecifiers.ts"
import { spareArgument } from "./spareFrames.ts"
import * as typeStripping from "./typeStripping.ts"
import { warmUp } from "./warmUp.ts"
import * as WorkerMain from "./WorkerMain.ts"

typeStripping.install(process.env.NODE_COMPILE_CACHE)
sharedModules.install(bundledModules)

const load = async (): Promise<Worker.Program> => {
  const url = process.argv[2]
  if (url === undefined) throw new Error("a worker entry takes the URL of a module as its argument")
  // The second argument on belongs to the user's code, as it would without the entry.
  const module: { readonly default?: unknown } = await import(url)
  return moduleProgram(module.default, url)
}

/** The first import of a process sets the module loader up, hooks included. */
const empty: string = new URL("./emptyModule.mjs", import.meta.url).href
const warm = (): Promise<unknown> =>
  Promise.all([import(empty), Effect.runPromise(warmUp), ...usual.map((specifier) => import(specifier))])

WorkerMain.run(load, process.argv[2] === spareArgument ? { warm } : undefined)
