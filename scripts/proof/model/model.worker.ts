/** Writes down what it carries out, in the file of its key: a line each, in order, over all incarnations. */
import * as Worker from "@nerve/runtime/ipc/Worker"
import { Effect, Stream } from "effect"
import { appendFileSync } from "node:fs"
import { ModelRpcs } from "./ModelRpcs.ts"

const note = (n: number) => Effect.sync(() => appendFileSync(process.env["MODEL_FILE"] ?? "", `${n}\n`))

export default Worker.serve(ModelRpcs, {
  Echo: ({ n }) => Effect.as(note(n), n),
  Slow: ({ ms, n }) => Effect.as(Effect.andThen(note(n), Effect.sleep(ms)), n),
  Count: ({ n }) => Stream.unwrap(Effect.as(note(n), Stream.rechunk(Stream.fromIterable(Array(10).fill(n)), 3))),
  Hang: () => Effect.never,
  Spin: () =>
    Effect.sync(() => {
      for (;;);
    }),
  Exit: ({ code }) => Effect.sync(() => process.exit(code))
})
