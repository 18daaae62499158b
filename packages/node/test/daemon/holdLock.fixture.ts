/**
 * A process that takes the daemon lock of the workspace named by its argument, says on stdout what
 * came of it (`held` or the error as JSON), and holds it until its stdin ends.
 */
import * as DaemonLock from "@nerve/node/daemon/DaemonLock"
import * as Workspace from "@nerve/node/daemon/Workspace"
import { Effect } from "effect"

const root = process.argv[2] ?? ""

const stdinEnd = Effect.callback<void>((resume) => {
  process.stdin.resume()
  process.stdin.on("end", () => resume(Effect.void))
})

const program = DaemonLock.acquire(Workspace.make(root), { version: "test" }).pipe(
  Effect.matchEffect({
    onSuccess: () =>
      Effect.andThen(
        Effect.sync(() => console.log("held")),
        stdinEnd
      ),
    onFailure: (error) => Effect.sync(() => console.log(JSON.stringify({ ...error, message: error.message })))
  }),
  Effect.scoped
)

await Effect.runPromise(program)
process.exit(0)
