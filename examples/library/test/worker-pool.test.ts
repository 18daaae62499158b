/** Runs the example as its readers would. */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

const main = fileURLToPath(new URL("../worker-pool/main.ts", import.meta.url))

const run = (env: Readonly<Record<string, string>>) =>
  spawnSync(process.execPath, [main], { encoding: "utf8", timeout: 100_000, env: { ...process.env, ...env } })

describe("examples/library/worker-pool", () => {
  it("counts primes in worker processes, as many as the environment says", () => {
    const { status, stderr, stdout } = run({ PRIMES_SIZE: "2" })
    assert.strictEqual(stderr, "")
    const [primes, ...workers] = stdout.trimEnd().split("\n")
    assert.strictEqual(primes, "78498 primes below 1000000")
    const slices = workers.map((line) => Number(/^worker \d counted in (\d+) of 20 slices$/.exec(line)?.[1]))
    assert.strictEqual(slices.length, 2)
    assert.strictEqual((slices[0] ?? 0) + (slices[1] ?? 0), 20)
    assert.strictEqual(status, 0)
  })

  it("says what is wrong with a setting", () => {
    const { status, stderr } = run({ PRIMES_SIZE: "many" })
    assert.notStrictEqual(status, 0)
    assert.include(stderr, "PRIMES_SIZE")
  })
})
