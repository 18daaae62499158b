/**
 * Soaks: long runs of the real thing that watch what it costs. `pnpm soak NAME [options]`; each ends
 * with one line of JSON on stdout, and says how it goes on stderr.
 */
const soaks: Readonly<Record<string, () => Promise<unknown>>> = {
  senses: () => import("./senses.ts")
}

const [name = ""] = process.argv.slice(2)
const soak = Object.hasOwn(soaks, name) ? soaks[name] : undefined
if (soak === undefined) {
  console.error(`usage: pnpm soak NAME [options]; there are: ${Object.keys(soaks).join(", ")}`)
  process.exit(2)
}
await soak()
