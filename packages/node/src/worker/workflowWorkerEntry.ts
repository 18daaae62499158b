/** Process entry of a workflow worker. Bundled to `dist/workflowWorker.mjs`. */
import { main } from "../workflow/workflowWorker.ts"
import { bundledModules } from "./bundledModules.ts"
import * as sharedModules from "./sharedModules.ts"
import * as typeStripping from "./typeStripping.ts"
import * as WorkerMain from "./WorkerMain.ts"

typeStripping.install(process.env.NODE_COMPILE_CACHE)
sharedModules.install(bundledModules)
WorkerMain.run(async () => main)
