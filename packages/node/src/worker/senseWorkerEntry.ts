/** Process entry of a sense worker. Bundled to `dist/senseWorker.mjs`. */
import { main } from "../sense/senseWorker.ts"
import { bundledModules } from "./bundledModules.ts"
import * as freshModules from "./freshModules.ts"
import * as sharedModules from "./sharedModules.ts"
import * as typeStripping from "./typeStripping.ts"
import * as WorkerMain from "./WorkerMain.ts"

typeStripping.install(process.env.NODE_COMPILE_CACHE)
sharedModules.install(bundledModules)
// Last, so that it is asked first and sees what the others answer.
freshModules.install()
WorkerMain.run(async () => main)
