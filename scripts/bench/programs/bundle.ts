/** The worker of the bench, as it was written and made one file. */
import * as WorkerBundle from "@nerve/node/worker/WorkerBundle"
import { Effect } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"

export const source: URL = new URL("./echo.worker.ts", import.meta.url)

const folder = mkdtempSync(join(tmpdir(), "nerve-bench-"))
process.once("exit", () => rmSync(folder, { recursive: true, force: true }))

const { file } = await Effect.runPromise(
  WorkerBundle.build({ entry: source, outfile: join(folder, "echo.worker.mjs") })
)

/** As `nerve bundle` makes it, with its source map. */
export const bundle: URL = pathToFileURL(file)
