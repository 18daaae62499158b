/** Senses as users write them, for the tests of what runs them. */

const imports = `import { Sense } from "@nerve/core"\nimport { Effect, Schema } from "effect"\n`

/** A module whose sense has this Effect as its compute. */
export const effectSense = (body: string, signal = "Schema.Struct({ n: Schema.Finite })"): string =>
  `${imports}export default Sense.make({
  signal: ${signal},
  compute: Effect.gen(function*() {
${body}
  })
})\n`

/** A module whose sense has this function body as its compute, with `context` at hand. */
export const plainSense = (body: string, signal = "Schema.Struct({ n: Schema.Finite })"): string =>
  `${imports}export default Sense.make({
  signal: ${signal},
  compute: async (context) => {
${body}
  }
})\n`
