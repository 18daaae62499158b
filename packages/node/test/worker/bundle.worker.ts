import * as Worker from "@nerve/runtime/ipc/Worker"
import { Effect, Schema, Stream } from "effect"
import { BundleRpcs, Refused } from "./BundleRpcs.ts"

/** Of the moment in which the module is evaluated: what user code does at its top level. */
const began = {
  key: process.env.NERVE_WORKER_KEY ?? "none",
  cwd: process.cwd(),
  argv: await Promise.resolve(process.argv.slice(2))
}

class Own extends Error {}

const boom = (): never => {
  throw new Own("boom") // this line
}

/** Node says which of its own modules are loaded; its types do not know. */
const { moduleLoadList } = process as unknown as { readonly moduleLoadList: ReadonlyArray<string> }

export default Worker.serve(
  BundleRpcs,
  {
    Echo: ({ text }) => Effect.succeed(text),
    Refuse: ({ why }) => Effect.fail(new Refused({ why })),
    Count: ({ to }) => Stream.range(1, to),
    Never: () => Effect.never,
    Began: () => Effect.map(Worker.init(Schema.Json), (init) => ({ ...began, init })),
    Boom: () => Effect.sync(boom),
    Loaded: () => Effect.sync(() => ({ url: import.meta.url, builtins: moduleLoadList })),
    Print: ({ text }) =>
      Effect.andThen(
        Effect.logInfo(`log ${text}`),
        Effect.sync(() => console.log(`out ${text}`))
      ),
    Exit: ({ code }) => Effect.sync(() => process.exit(code)),
    Read: ({ path }) =>
      Effect.sync(() => {
        try {
          return process.getBuiltinModule("node:fs").readFileSync(path, "utf8")
        } catch (error) {
          return error instanceof Error && "code" in error ? String(error.code) : String(error)
        }
      })
  },
  { info: { bundled: true } }
)
