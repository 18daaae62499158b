/**
 * A worker that means harm: `hostile.worker.mjs ATTACK [SEED]`. It says `ready` as it should, then attacks by way of
 * its channel, and between attacks answers calls, so that there are calls to be hurt. Plain JavaScript without nerve, as
 * anybody's may be.
 */
import { closeSync, readSync, writeSync } from "node:fs"
import { Socket } from "node:net"

const [, , attack = "", seedText = "1"] = process.argv
const incarnation = Number(process.env.NERVE_INCARNATION ?? 1)

// mulberry32, of the seed and the incarnation: the same frames again for the same seed.
let state = (Number(seedText) ^ Math.imul(incarnation, 0x9e3779b1)) >>> 0
const random = (below) => {
  state = (state + 0x6d2b79f5) >>> 0
  let t = Math.imul(state ^ (state >>> 15), 1 | state)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below)
}
const oneOf = (all) => all[random(all.length)]

// Makes the descriptor non-blocking; it is read and written by hand.
globalThis.held = new Socket({ fd: 3, pauseOnCreate: true })

const nap = new Int32Array(new SharedArrayBuffer(4))
const write = (bytes) => {
  let rest = typeof bytes === "string" ? Buffer.from(bytes) : bytes
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(3, rest))
    } catch (error) {
      if (error.code === "EPIPE" || error.code === "EBADF" || error.code === "ECONNRESET") process.reallyExit(0)
      if (error.code !== "EAGAIN") throw error
      Atomics.wait(nap, 0, 0, 1)
    }
  }
}
const send = (frame) => write(`${JSON.stringify(frame)}\n`)

// --- answering -----------------------------------------------------------------------------------------

let input = ""
const buffer = Buffer.alloc(65536)

/** Calls that have come meanwhile. */
const take = () => {
  const calls = []
  for (;;) {
    let length
    try {
      length = readSync(3, buffer)
    } catch (error) {
      if (error.code === "EAGAIN") break
      process.reallyExit(0)
    }
    if (length === 0) process.reallyExit(0)
    input += buffer.toString("utf8", 0, length)
    if (length < buffer.length) break
  }
  const lines = input.split("\n")
  input = lines.pop()
  for (const line of lines) {
    const frame = JSON.parse(line)
    if (frame.t === "stop" && attack !== "deaf" && attack !== "exitOverridden") process.reallyExit(0)
    if (frame.t === "call") calls.push(frame)
    if (frame.t === "ping") send({ t: "pong", n: frame.n })
  }
  return calls
}

const answer = ({ id, method, payload }) => {
  if (method === "Echo") return send({ t: "done", id, value: payload.text })
  const values = Array.from({ length: payload.to }, (_, i) => i + 1)
  if (values.length > 0) send({ t: "chunk", id, values })
  send({ t: "done", id, value: null })
}

/** Waits for the first call of the attacked, so that there is one in flight. */
const firstCall = () => {
  for (;;) {
    const [call] = take()
    if (call !== undefined) return call
    Atomics.wait(nap, 0, 0, 2)
  }
}

const serve = () => setInterval(() => take().forEach(answer), 5)

// --- mutated frames ------------------------------------------------------------------------------------

const nested = (depth) => `${"[".repeat(depth)}${"]".repeat(depth)}`

/** As text, because much of it is no value of JavaScript. */
const strange = [
  "null",
  "true",
  "-1",
  "0",
  "1.5",
  "-0",
  "1e308",
  "1e999",
  "-1e999",
  "9007199254740993",
  "123456789012345678901234567890",
  '""',
  '"1"',
  '"\\u0000"',
  '"\\ud800"',
  '"__proto__"',
  "[]",
  "{}",
  '{"__proto__":{"polluted":true}}',
  '{"constructor":{"prototype":{"polluted":true}}}',
  '{"toJSON":1}',
  '{"then":1}',
  '{"length":4294967295}',
  nested(500),
  `"${"x".repeat(5000)}"`,
  "[null,null]",
  '{"name":1,"message":2,"stack":3}',
  '{"name":"E","message":"m","stack":null}'
]
const ids = () => oneOf([String(random(40)), String(random(4000)), oneOf(strange)])
const any = () => (random(3) === 0 ? oneOf(strange) : `"t${random(100)}"`)
const base = [
  () => ({ t: '"done"', id: ids(), value: any() }),
  () => ({ t: '"fail"', id: ids(), error: any() }),
  () => ({ t: '"die"', id: ids(), defect: any() }),
  () => ({ t: '"die"', id: ids(), defect: '{"name":"E","message":"m","stack":null}' }),
  () => ({ t: '"interrupted"', id: ids() }),
  () => ({ t: '"reject"', id: ids(), detail: any() }),
  () => ({ t: '"chunk"', id: ids(), values: `[${any()},${any()}]` }),
  () => ({ t: '"log"', level: any(), message: any(), fields: any() }),
  () => ({ t: '"ready"', v: "1", info: any(), ping: "true" }),
  () => ({ t: '"pong"', n: ids(), delayMs: any(), memory: any() }),
  () => ({ t: '"init"', key: any(), incarnation: ids() }),
  () => ({ t: '"call"', id: ids(), method: any(), payload: any() }),
  () => ({ cmd: '"NODE_HANDLE"', type: any() })
]
const mutate = (fields) => {
  const entries = Object.entries(fields)
  for (let n = random(3); n > 0; n--) {
    const at = random(entries.length)
    switch (random(5)) {
      case 0:
        entries.splice(at, 1)
        break
      case 1:
        if (entries[at] !== undefined && entries[at][0] !== "v") entries[at][1] = oneOf(strange)
        break
      case 2:
        entries.push([
          oneOf(["__proto__", "constructor", "id", "t", "x", "toString", "hasOwnProperty"]),
          oneOf(strange)
        ])
        break
      case 3:
        if (entries[at] !== undefined) entries.push([entries[at][0], any()])
        break
      case 4:
        if (entries[at] !== undefined && entries[at][0] === "t")
          entries[at][1] = oneOf(['"Done"', '"x"', '"ready "', "7"])
        break
    }
  }
  return `{${entries.map(([name, value]) => `"${name}":${value}`).join(",")}}`
}
const frame = () => {
  const text = mutate(oneOf(base)())
  switch (random(20)) {
    case 0:
      return oneOf(strange)
    case 1:
      return `[${text}]`
    case 2:
      return `  ${text}\t\r`
    case 3:
      return ""
    default:
      return text
  }
}
/** Bytes at random in it: as a rule that is not JSON any more, and the end of this incarnation. */
const corrupt = (text) => {
  const bytes = Buffer.from(text)
  for (let n = 1 + random(4); n > 0; n--) bytes[random(bytes.length)] = random(256)
  return bytes
}

/** Frames of an incarnation: then it is corrupted, cut off, or ends. */
const framesPerLife = 5000

const fuzz = () => {
  let sent = 0
  const burst = () => {
    take()
    const lines = []
    for (let n = 0; n < 100; n++) lines.push(frame())
    write(`${lines.join("\n")}\n`)
    sent += 100
    if (sent < framesPerLife) return setImmediate(burst)
    const last = frame() || "{}"
    if (random(3) === 0) process.reallyExit(random(3))
    write(random(2) === 0 ? last.slice(0, 1 + random(last.length)) : corrupt(last))
    write("\n")
    if (random(2) === 0) process.reallyExit(0)
    // What was cut off or corrupted may be a frame all the same: then nobody but itself ends it.
    setTimeout(() => process.reallyExit(0), 200)
  }
  burst()
}

// --- crafted attacks -----------------------------------------------------------------------------------

const mega = 1024 * 1024
const attacks = {
  fuzz,
  garbage: () => write(Buffer.from(Array.from({ length: 100_000 }, () => random(256)))),
  notJson: () => write("hello, world\n"),
  half: () => {
    write('{"t":"done","id":1,"val')
    process.reallyExit(0)
  },
  halfAndStay: () => {
    write('{"t":"done","id":1,"val')
    setInterval(() => {}, 1000)
  },
  endless: () => {
    const piece = "x".repeat(mega)
    for (;;) write(piece)
  },
  oneByteTooMany: () => write(`"${"x".repeat(4 * mega - 1)}"\n`),
  byteByByte: () => {
    for (const byte of Buffer.from(`{"t":"log","message":"${"y".repeat(20_000)}"}\n`)) write(Buffer.from([byte]))
    serve()
  },
  deep: () => {
    write(`${nested(500_000)}\n`)
    write(`{"t":"done","id":1,"value":${nested(150_000)}}\n`)
    serve()
  },
  duplicateReply: () => {
    const { id } = firstCall()
    for (let n = 0; n < 1000; n++) send({ t: "done", id, value: `answer ${n}` })
    serve()
  },
  unaskedReply: () => {
    for (let id = 1000; id < 2000; id++)
      for (const t of ["done", "fail", "interrupted"]) send({ t, id, value: "nobody asked" })
    serve()
  },
  bothEnds: () => {
    const { id } = firstCall()
    send({ t: "fail", id, error: "no" })
    send({ t: "done", id, value: "yes" })
    serve()
  },
  wrongType: () => {
    send({ t: "done", id: firstCall().id, value: { not: "a string" } })
    serve()
  },
  secondReady: () => {
    for (let n = 0; n < 100; n++) send({ t: "ready", v: 1, info: n })
    serve()
  },
  otherIncarnation: () => {
    for (const n of [0, 2, 3, -1]) send({ t: "ready", v: 1, incarnation: n, key: "neighbour" })
    send({ t: "init", key: "neighbour", incarnation: 1, init: null })
    for (let id = 1; id <= 100; id++) send({ t: "done", id: id + 0.5, value: "", incarnation: 1, key: "neighbour" })
    serve()
  },
  exitOverridden: () => {
    process.exit = () => {}
    process.on("SIGTERM", () => {})
    process.on("exit", () => {
      for (;;);
    })
    serve()
  },
  deaf: () => {
    process.on("SIGTERM", () => {})
    serve()
  },
  allClosed: () => {
    for (let fd = 0; fd < 64; fd++) {
      try {
        closeSync(fd)
      } catch {
        // Not open.
      }
    }
    for (;;) Atomics.wait(nap, 0, 0, 1000)
  },
  channelClosed: () => {
    closeSync(3)
    setInterval(() => {}, 1000)
  },
  invalidUtf8: () => {
    const { id } = firstCall()
    write(
      Buffer.concat([
        Buffer.from(`{"t":"done","id":${id},"value":"`),
        Buffer.from([0xff, 0xc0, 0xed, 0xa0, 0x80]),
        Buffer.from('"}\n')
      ])
    )
    serve()
  },
  hugeNumbers: () => {
    write(`{"t":"done","id":1e999,"value":1}\n{"t":"pong","n":-1e999,"delayMs":1e999,"memory":1e999}\n`)
    write(`{"t":"ready","v":1e999}\n`)
    serve()
  },
  proto: () => {
    write(
      '{"__proto__":{"t":"done","id":1},"value":"x"}\n{"t":"log","message":"m","fields":{"__proto__":{"polluted":true}}}\n'
    )
    write('{"t":"__proto__","id":1}\n{"t":"constructor","id":"__proto__"}\n')
    serve()
  },
  nodeMessage: () => {
    write('{"cmd":"NODE_HANDLE","type":"net.Socket"}\n{"cmd":"NODE_x"}\n')
    serve()
  },
  emptyLines: () => {
    for (let n = 0; n < 64; n++) write("\n".repeat(mega / 4))
    serve()
  },
  smallFrames: () => {
    for (let n = 0; n < 100; n++) write("0\n".repeat(2000))
    serve()
  },
  longLine: () => {
    const line = "z".repeat(mega)
    for (let n = 0; n < 50; n++) process.stdout.write(line)
    serve()
  },
  logs: () => {
    for (let n = 0; n < 20_000; n++) send({ t: "log", level: "INFO", message: `line ${n}`, fields: {} })
    serve()
  }
}

for (;;) {
  const read = readFrame()
  if (read) break
  Atomics.wait(nap, 0, 0, 1)
}
function readFrame() {
  try {
    const length = readSync(3, buffer)
    if (length === 0) process.reallyExit(0)
    // The init is small; what follows it stays for later.
    input += buffer.toString("utf8", 0, length)
  } catch (error) {
    if (error.code !== "EAGAIN") process.reallyExit(0)
  }
  return input.includes("\n")
}
send({ t: "ready", v: 1, info: null, ping: attack === "serve" })
attacks[attack]()
