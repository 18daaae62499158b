/**
 * A worker that knows nothing of nerve but docs/ipc.md. `handmade.fixture.mjs fd3|stdio [version]`: where it
 * speaks, and the version of the protocol that it claims to speak.
 */
import { closeSync } from "node:fs"
import { Socket } from "node:net"

const [transport, version = "1"] = process.argv.slice(2)
const pipe = transport === "stdio" ? undefined : new Socket({ fd: 3 })
const output = pipe ?? process.stdout
const send = (frame) => output.write(`${JSON.stringify(frame)}\n`)

const methods = {
  Echo: ({ text }) => text,
  Environment: () => ({ ...process.env }),
  Talk: ({ text }) => {
    if (transport === "fd3") console.log(`out ${text}`)
    console.error(`err ${text}`)
    send({ t: "log", level: "INFO", message: `log ${text}`, fields: {} })
    return null
  },
  WriteRaw: ({ text, times }) => {
    for (let i = 0; i < times; i++) output.write(text)
    return null
  },
  /** Closes the pipe, and stays. */
  Never: () => {
    setInterval(() => {}, 1000)
    if (pipe === undefined) closeSync(1)
    else pipe.destroy()
  }
}

const receive = (line) => {
  const { id, method, payload, t } = JSON.parse(line)
  if (t === "init") send({ t: "ready", v: Number(version) })
  if (t === "stop") process.exit(0)
  if (t !== "call") return
  const value = methods[method](payload)
  if (value !== undefined) send({ t: "done", id, value })
}

const input = pipe ?? process.stdin
let rest = ""
input.setEncoding("utf8")
input.on("data", (text) => {
  // Not node:readline: that takes U+2028 in a text for the end of a line.
  const lines = (rest + text).split("\n")
  rest = lines.pop()
  for (const line of lines) receive(line)
})
input.on("end", () => process.exit(0))
