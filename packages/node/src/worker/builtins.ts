/**
 * Node's own modules for what runs at a worker's start. An `import` of them would read each of their exports, and some
 * of those load further modules: for `node:fs` its streams and promises.
 */
import type * as NodeFs from "node:fs"
import type * as NodeModule from "node:module"
import type * as NodeUtil from "node:util"

export const fs: typeof NodeFs = process.getBuiltinModule("node:fs")
export const nodeModule: typeof NodeModule.default = process.getBuiltinModule("node:module")
/** Asked for when something has gone wrong, and not before. */
export const util = (): typeof NodeUtil => process.getBuiltinModule("node:util")
