/**
 * Workspaces for tests: real files under `test/.tmp`, where user modules resolve `effect` and
 * `@nerve/core` as in an installed workspace. Each is removed when its scope closes.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { constants, runInThisContext } from "node:vm"
import { Importer } from "../../src/user/UserModule.ts"

/** Makes a workspace with these files, by path relative to it; its absolute path. */
export const makeWorkspace = (files: Readonly<Record<string, string>>): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const parent = join(import.meta.dirname, "..", ".tmp")
      mkdirSync(parent, { recursive: true })
      const workspace = mkdtempSync(join(parent, "ws-"))
      writeFiles(workspace, files)
      return workspace
    }),
    (workspace) => Effect.sync(() => rmSync(workspace, { recursive: true, force: true }))
  )

/** Writes files into a workspace. */
export const writeFiles = (workspace: string, files: Readonly<Record<string, string>>): void => {
  for (const [file, text] of Object.entries(files)) {
    const path = join(workspace, file)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
  }
}

/** Node's own `import`: the test runner takes over the one in sources, and would even run an enum. */
const nativeImport: unknown = runInThisContext("(url) => import(url)", {
  importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER
})

/** Imports a module by Node itself. */
export const importNatively = (url: string): Promise<unknown> =>
  typeof nativeImport === "function" ? nativeImport(url) : Promise.reject(new Error("no native import"))

/** Has user modules imported by Node itself, as in a worker. */
export const withNativeImport: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> =
  Effect.provideService(Importer, importNatively)
