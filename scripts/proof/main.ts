/**
 * The long forms of what tests show in short: `node scripts/proof/main.ts NAME [--times N] [--seed N]`. Without a name
 * it lists them. Each prints how it goes to stderr and ends with one line of JSON; exit code 1 when something did not
 * hold.
 */
import { Effect } from "effect"
import { parseArgs } from "node:util"
import { bigStore } from "./bigStore.ts"
import { crashPoints } from "./crashPoints.ts"
import { floodProof } from "./flood.ts"
import { hostile } from "./hostile.ts"
import { bitFlips, powerCut } from "./imageProofs.ts"
import { kills } from "./kills.ts"
import { model } from "./model.ts"
import { orphans } from "./orphans.ts"
import { senses } from "./senses.ts"
import type { Proof } from "./Proof.ts"

const proofs: Readonly<Record<string, Proof>> = {
  orphans,
  hostile,
  flood: floodProof,
  kills,
  model,
  senses,
  "big-store": bigStore,
  "crash-points": crashPoints,
  "power-cut": powerCut,
  "bit-flips": bitFlips
}

const usage = () => {
  console.log("usage: pnpm proof NAME [--times N] [--seed N]\n")
  for (const [name, { times, unit, what }] of Object.entries(proofs)) {
    console.log(`  ${name.padEnd(14)}${what}\n${" ".repeat(16)}--times: ${unit}; ${times} unless told`)
  }
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { times: { type: "string" }, seed: { type: "string" } }
})
const [name] = positionals
const proof = name === undefined ? undefined : proofs[name]
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed)
const times = values.times === undefined ? proof?.times : Number(values.times)

if (proof === undefined || !Number.isInteger(seed) || !Number.isInteger(times) || times === undefined || times < 1) {
  if (name !== undefined)
    console.error(proof === undefined ? `there is no proof ${name}` : "a number must be a whole one")
  usage()
  process.exitCode = name === undefined ? 0 : 2
} else {
  const began = performance.now()
  const say = (line: string) => console.error(`${name}: ${line}`)
  say(`seed ${seed}`)
  const figures = await Effect.runPromise(proof.run({ times, seed, say }))
  const seconds = Math.round((performance.now() - began) / 1000)
  console.log(JSON.stringify({ proof: name, times, seed, seconds, ...figures }))
  process.exitCode = figures.ok ? 0 : 1
}
