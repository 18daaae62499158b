/** A thread that does as its first argument says. */
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
  case "finish":
    break
  case "report": {
    console.log(`${process.env["NERVE_RESUME_ID"]} ${process.env["NERVE_PREV_EXIT"] ?? ""}`)
    if (process.env["NERVE_PREV_EXIT"] === undefined) process.exit(3)
    setInterval(() => {}, 1000)
    break
  }
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
  default: {
    // Loaded by those alone that run an Effect: that takes most of a thread's boot.
    const [ThreadMain, { Effect }] = await Promise.all([import("@nerve/node/supervision/ThreadMain"), import("effect")])
    const there = Effect.acquireRelease(
      Effect.sync(() => console.log("begun")),
      () => Effect.sync(() => console.log("ended"))
    ).pipe(Effect.andThen(Effect.never), Effect.scoped)
    ThreadMain.run(process.argv[2] === "fail" ? Effect.fail("no luck") : there)
  }
}
