/**
 * Proofs whose short form and long form are the same test, with more images: power cuts and flipped bits of the log.
 * They are tests of `packages/node`; each prints a line of JSON, which is what is told here.
 */
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import type { Figures, Proof, Settings } from "./Proof.ts"

const root = fileURLToPath(new URL("../../", import.meta.url))
const vitest = fileURLToPath(new URL("../../node_modules/vitest/vitest.mjs", import.meta.url))

/** Runs the test with so many images; its lines of JSON, and whether it passed. */
const runTest = (test: string, { say, seed, times }: Settings): Effect.Effect<Figures> =>
  Effect.callback((resume) => {
    const env = { ...process.env, NERVE_IMAGES: String(times), NERVE_SEED: String(seed), NERVE_SKIP_BUILD: "1" }
    const child = spawn(process.execPath, [vitest, "run", test], {
      cwd: root,
      env,
      stdio: ["ignore", "pipe", "inherit"]
    })
    const reports: Array<unknown> = []
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (line.startsWith("{")) reports.push(JSON.parse(line))
      else if (line.trim() !== "") say(line)
    })
    // After its output has ended.
    child.once("close", (code) => {
      // Without a report it was skipped, which proves nothing; the reason has been said.
      resume(Effect.succeed({ ok: code === 0 && reports.length > 0, reports }))
    })
    return Effect.sync(() => void child.kill())
  })

export const powerCut: Proof = {
  what: "power cuts while the log is appended to: writes dropped, reordered and torn; and a control run that must lose entries",
  unit: "images",
  times: 300,
  run: (settings) => runTest("packages/node/test/sqlite/PowerCut.test.ts", settings)
}

export const bitFlips: Proof = {
  what: "one bit flipped in database, write-ahead log, archive or blobs: found by verify, or harmless",
  unit: "images",
  times: 300,
  run: (settings) => runTest("packages/node/test/sqlite/BitFlips.test.ts", settings)
}
