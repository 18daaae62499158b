/**
 * `nerve bundle ENTRY… --out DIR`: makes each worker's module and all that it imports one file.
 */
import * as WorkerBundle from "@nerve/node/worker/WorkerBundle"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { basename, extname, join } from "node:path"
import * as Global from "../flags/Global.ts"
import { Failed } from "../output/Failed.ts"
import * as Output from "../output/Output.ts"

/** `src/echo.worker.ts` becomes `DIR/echo.worker.mjs`. */
const outfile = (entry: string, out: string): string => join(out, `${basename(entry, extname(entry))}.mjs`)

/** Two entries that would become one file; undefined when there are none. */
const clash = (entries: ReadonlyArray<string>, out: string): string | undefined => {
  const files = entries.map((entry) => outfile(entry, out))
  return files.find((file, i) => files.indexOf(file) !== i)
}

export const bundle = Command.make(
  "bundle",
  {
    entries: Argument.String("entry").pipe(
      Argument.withDescription("Modules of workers: what WorkerSpec.module is told"),
      Argument.atLeast(1)
    ),
    out: Flag.String("out").pipe(Flag.withMetavar("DIR"), Flag.withDescription("Folder for the bundles; it is made")),
    external: Flag.String("external").pipe(
      Flag.withMetavar("PACKAGE"),
      Flag.withDescription("Leave a package out, and load it at run time: one with native code, for instance"),
      Flag.atLeast(0)
    ),
    noSourceMap: Flag.Boolean("no-source-map").pipe(
      Flag.withDescription("Write no map: stacks then name lines of the bundle"),
      Flag.withDefault(false)
    )
  },
  ({ entries, external, noSourceMap, out }) =>
    Effect.gen(function* () {
      const twice = clash(entries, out)
      if (twice !== undefined) return yield* new Failed({ message: `nerve: two of these would become ${twice}` })
      const json = yield* Global.JsonFlag
      const options = { external, sourceMap: !noSourceMap }
      const bundles = yield* Effect.forEach(entries, (entry) =>
        WorkerBundle.build({ ...options, entry, outfile: outfile(entry, out) })
      ).pipe(Effect.mapError(({ message }) => new Failed({ message: `nerve: ${message}` })))
      if (json) return yield* Output.json(bundles.map(({ bytes, file, map }) => ({ file, map, bytes })))
      return yield* Output.text(bundles.map(({ bytes, file }) => `${file}  ${Math.ceil(bytes / 1024)} KiB`).join("\n"))
    })
).pipe(Command.withDescription("Make workers' modules, and all that they import, one file each (needs esbuild)"))
