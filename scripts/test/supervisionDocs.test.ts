/** The table of what other supervisors do, in docs/supervision.md: what it says here is run as it stands. */
import { assert, it } from "@effect/vitest"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import { Effect } from "effect"
import { readFileSync } from "node:fs"

const rows = readFileSync(new URL("../../docs/supervision.md", import.meta.url), "utf8")
  .split("### As elsewhere")[1]
  ?.split("\n## ")[0]
  ?.split("\n")
  .filter((line) => line.startsWith("| ") && !line.startsWith("| system |") && !line.startsWith("| ---"))
  .map((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|")))

/** The code of a cell; `the same, …` goes on from the row before. */
const codeOf = (cell: string, before: string): string => {
  const code = /`(.+)`/.exec(cell)?.[1] ?? ""
  return cell.startsWith("the same") ? `${before}${code}` : code
}

const policies = new Map<string, RespawnPolicy.RespawnPolicy>()
let base = ""
for (const [, system = "", , cell = ""] of rows ?? []) {
  const code = codeOf(cell, base)
  if (!cell.startsWith("the same")) base = code
  // One that only vetoes is put around a policy.
  const expression = code.startsWith("P.veto") ? `P.immediately.pipe(${code})` : code
  // The documentation's own code is what is tested here.
  policies.set(system, new Function("P", `return ${expression}`)(RespawnPolicy))
}

interface Crash {
  readonly at: number
  readonly uptimeMs?: number
  readonly code?: number
  readonly signal?: string
}

/** The delays that the policy of a row gives, null where it gives up. */
const said = (system: string, crashes: ReadonlyArray<Crash>): ReadonlyArray<number | null> => {
  const policy = policies.get(system)
  if (policy === undefined) throw new Error(`no row ${system}; there are: ${[...policies.keys()].join("; ")}`)
  const decide = Effect.runSync(RespawnPolicy.toDecide(policy))
  const delays: Array<number | null> = []
  for (const { at, code, signal, uptimeMs = 0 } of crashes) {
    const exit = { code: signal === undefined ? (code ?? 1) : null, signal: signal ?? null }
    const decision = Effect.runSync(decide(at, { exit, uptimeMs }))
    delays.push(decision._tag === "Respawn" ? decision.delayMs : null)
    if (decision._tag === "GiveUp") break
  }
  return delays
}

const every = (ms: number, count: number): ReadonlyArray<Crash> =>
  Array.from({ length: count }, (_, i) => ({ at: i * ms }))

const expected: Readonly<Record<string, () => void>> = {
  "OTP, `permanent` child": () => {
    assert.deepStrictEqual(said("OTP, `permanent` child", every(5000, 4)), [0, 0, 0, 0])
    assert.deepStrictEqual(said("OTP, `permanent` child", every(4999, 4)), [0, null])
    assert.deepStrictEqual(said("OTP, `permanent` child", [{ at: 0, code: 0 }]), [0])
  },
  "OTP, `transient` child": () => {
    assert.deepStrictEqual(said("OTP, `transient` child", [{ at: 0 }, { at: 9000, code: 0 }]), [0, null])
  },
  "OTP, `temporary` child; systemd `Restart=no`; Kubernetes `Never`": () => {
    assert.deepStrictEqual(said("OTP, `temporary` child; systemd `Restart=no`; Kubernetes `Never`", every(1, 1)), [
      null
    ])
  },
  "systemd `Restart=always`": () => {
    assert.deepStrictEqual(said("systemd `Restart=always`", every(200, 9)), [100, 100, 100, 100, null])
    assert.deepStrictEqual(said("systemd `Restart=always`", every(2500, 9)), Array(9).fill(100))
    assert.deepStrictEqual(said("systemd `Restart=always`", [{ at: 0, code: 0 }]), [100])
  },
  "systemd `Restart=on-failure`": () => {
    for (const signal of ["SIGHUP", "SIGINT", "SIGTERM", "SIGPIPE"]) {
      assert.deepStrictEqual(said("systemd `Restart=on-failure`", [{ at: 0, signal }]), [null])
    }
    assert.deepStrictEqual(said("systemd `Restart=on-failure`", [{ at: 0, code: 0 }]), [null])
    assert.deepStrictEqual(said("systemd `Restart=on-failure`", [{ at: 0, signal: "SIGSEGV" }, { at: 1 }]), [100, 100])
  },
  "systemd `RestartPreventExitStatus=78`": () => {
    assert.deepStrictEqual(said("systemd `RestartPreventExitStatus=78`", [{ at: 0 }, { at: 1, code: 78 }]), [0, null])
  },
  "Kubernetes `Always`": () => {
    const crashes = [...every(1000, 7), { at: 1e6, uptimeMs: 600_000, code: 0 }]
    const delays = [10, 20, 40, 80, 160, 300, 300, 10].map((seconds) => seconds * 1000)
    assert.deepStrictEqual(said("Kubernetes `Always`", crashes), delays)
  },
  "Kubernetes `OnFailure`": () => {
    assert.deepStrictEqual(said("Kubernetes `OnFailure`", [{ at: 0 }, { at: 1, code: 0 }]), [10_000, null])
  },
  pm2: () => {
    assert.deepStrictEqual(said("pm2", every(900, 20)), [...Array(15).fill(0), null])
  },
  "pm2 `--exp-backoff-restart-delay=100`": () => {
    const crashes = [...every(1, 14), { at: 1e6, uptimeMs: 30_000 }]
    const delays = said("pm2 `--exp-backoff-restart-delay=100`", crashes)
    assert.deepStrictEqual(delays.slice(0, 4), [100, 150, 225, 337.5])
    assert.deepStrictEqual(delays.slice(-2), [15_000, 100])
  }
}

it.each([...policies.keys()])("does as %s does", (system) => {
  const check = expected[system]
  assert.isDefined(check, "the row has no test")
  check?.()
})

it("has a row for each system", () => {
  assert.sameMembers([...policies.keys()], Object.keys(expected))
})
