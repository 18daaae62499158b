/**
 * What a bundled worker entry shares with user code: the files beside it.
 */
import * as Function from "effect/Function"
import * as Version from "effect/Version"
import type { Shared } from "./sharedModules.ts"
import { barrels, fileName, specifiers } from "./sharedSpecifiers.ts"

/** What every entry hands on. Only meaningful in the bundle, where these files are. */
export const bundledModules: Shared = {
  files: Object.fromEntries(
    specifiers.map((specifier) => [specifier, new URL(`./${fileName(specifier)}.mjs`, import.meta.url).href])
  ),
  barrels,
  functions: Object.keys(Function),
  effectVersion: Version.getCurrentVersion()
}
