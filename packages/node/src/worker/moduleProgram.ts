/**
 * The program that a user's module gives: its default export.
 */
import type * as Worker from "@nerve/runtime/ipc/Worker"
import * as Effect from "effect/Effect"

/** The default export, if it is an Effect. Any other is the author's mistake, told as such; `url` names the module. */
export const moduleProgram = (exported: unknown, url: string): Worker.Program => {
  if (!Effect.isEffect(exported)) {
    throw new Error(`${url}: the default export must be an Effect, such as Worker.serve(group, handlers) gives`)
  }
  // What it requires shows when it runs: a service that is missing is a defect that names it.
  return exported as Worker.Program
}
