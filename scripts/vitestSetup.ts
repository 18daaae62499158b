/**
 * Vitest's global setup: builds the bundles once before any test runs, because the tests of real
 * processes start the bundled worker entries and the bundled command line.
 *
 * Set `NERVE_SKIP_BUILD=1` to reuse the bundles that are there, for a quick rerun of pure tests.
 */
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"

const buildFile = new URL("./build.ts", import.meta.url)

/** Builds everything that the tests start. Rejects when the build fails, which fails the run. */
export default async function setup(): Promise<void> {
  if (process.env["NERVE_SKIP_BUILD"] === "1" || !existsSync(fileURLToPath(buildFile))) return
  const module: { readonly build?: () => Promise<void> } = await import(buildFile.href)
  if (module.build === undefined) throw new Error("scripts/build.ts exports no function named build")
  await module.build()
}
