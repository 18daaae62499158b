/** A worker that has the child and is in the state that `NERVE_WORKER_KEY` names. It works in a folder of its own. */
import * as Worker from "@nerve/runtime/ipc/Worker"
import { Effect } from "effect"
import { spawn, spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { OrphanRpcs } from "./OrphanRpcs.ts"

const [state, brood] = (process.env["NERVE_WORKER_KEY"] ?? "").split("/")

/** Says that it is where it is to be. */
const there = () => writeFileSync("there", "")

switch (brood) {
  case "child":
    spawn("sleep", ["1000"], { stdio: "inherit" })
    break
  case "session":
    spawn("sleep", ["1000"], { detached: true, stdio: "ignore" })
    break
  case "doubleFork":
    spawn("sh", ["-c", "setsid sleep 1000 & exit 0"], { stdio: "ignore" })
    break
}

if (state === "booting") {
  there()
  setInterval(() => {}, 1000)
  await new Promise(() => {})
}

export default Worker.serve(OrphanRpcs, {
  Spin: () =>
    Effect.sync(() => {
      there()
      for (;;);
    }),
  Linger: () => Effect.uninterruptible(Effect.andThen(Effect.sync(there), Effect.never)),
  SpawnSync: () =>
    Effect.sync(() => {
      there()
      spawnSync("sleep", ["1000"])
    })
})
