/**
 * The options of a bench of one kind of work: `--json`, `--rounds N`, and `--one-core`, which runs it again on one core.
 */
import { parseArgs } from "node:util"
import { onOneCore } from "./oneCore.ts"

export interface BenchOptions {
  readonly json: boolean
  readonly rounds: number
  readonly oneCore: boolean
}

/** Those of this process; `module` is the bench's `import.meta.url`. */
export const readOptions = (module: string, rounds: number): BenchOptions => {
  const { values } = parseArgs({
    options: {
      json: { type: "boolean", default: false },
      rounds: { type: "string", default: String(rounds) },
      "one-core": { type: "boolean", default: false },
      pinned: { type: "boolean", default: false }
    }
  })
  if (values["one-core"] && !values.pinned) onOneCore(module)
  return { json: values.json, rounds: Math.max(1, Number.parseInt(values.rounds, 10)), oneCore: values["one-core"] }
}
