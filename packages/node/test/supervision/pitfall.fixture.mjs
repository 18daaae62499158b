/**
 * Workers as they should not be: `mute` prints its pid and is never ready, `broken` ends at once, `ghost` is ready, takes
 * its first call, and dies with a child of its own session left that goes on speaking over its channel; `talkative` prints
 * 3000 lines and ends.
 */
import { spawn } from "node:child_process"
import { writeSync } from "node:fs"
import { Socket } from "node:net"

const [what] = process.argv.slice(2)

const speak = `
  const { writeSync } = require("node:fs")
  let n = 0
  setInterval(() => {
    try {
      writeSync(3, '{"t":"ready","v":1,"info":"ghost"}\\n')
      for (let id = 1; id < 30; id++) writeSync(3, JSON.stringify({ t: "done", id, value: "ghost" }) + "\\n")
    } catch {
      process.exit(0)
    }
    if (++n === 1000) process.exit(0)
  }, 5)
`

if (what === "mute") {
  console.log(String(process.pid))
  setInterval(() => {}, 1000)
} else if (what === "broken") process.exit(1)
else if (what === "talkative") writeSync(1, Array.from({ length: 3000 }, (_, n) => `line ${n}\n`).join(""))
else if (what === "ghost") {
  writeSync(3, '{"t":"ready","v":1}\n')
  const socket = new Socket({ fd: 3 })
  socket.on("data", (bytes) => {
    if (!String(bytes).includes('"call"')) return
    spawn(process.execPath, ["-e", speak], { detached: true, stdio: ["ignore", "ignore", "ignore", 3] }).unref()
    process.kill(process.pid, "SIGKILL")
  })
}
