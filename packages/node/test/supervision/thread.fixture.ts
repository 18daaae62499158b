/** A thread that does as its first argument says. */
import * as ThreadMain from "@nerve/node/supervision/ThreadMain"
import { Effect } from "effect"
import { workerData } from "node:worker_threads"

switch (process.argv[2]) {
  case "spin":
    console.log("spinning")
    for (;;);
  case "throw":
    throw new TypeError("no luck")
  case "exit":
    console.error("last words")
    process.exit(3)
  case "deaf":
    setInterval(() => {}, 1000)
    break
  case "environment":
    console.log(
      JSON.stringify({
        resumeId: process.env["NERVE_RESUME_ID"],
        previousExit: process.env["NERVE_PREV_EXIT"],
        secret: process.env["NERVE_TEST_SECRET"],
        set: process.env["GREETING"],
        data: workerData
      })
    )
    process.exit(5)
  case "hungry": {
    const all: Array<Array<number>> = []
    for (;;) all.push(Array.from({ length: 100_000 }, (_, i) => i))
  }
  case "fail":
    ThreadMain.run(Effect.fail("no luck"))
    break
  default:
    ThreadMain.run(
      Effect.acquireRelease(
        Effect.sync(() => console.log("begun")),
        () => Effect.sync(() => console.log("ended"))
      ).pipe(Effect.andThen(Effect.never), Effect.scoped)
    )
}
