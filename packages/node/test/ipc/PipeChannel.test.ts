/** Frames over sockets: however they are cut on their way, and whoever does not read. */
import { assert, describe, it } from "@effect/vitest"
import * as PipeChannel from "@nerve/node/ipc/PipeChannel"
import type { Channel, ChannelEnd } from "@nerve/runtime/ipc/Channel"
import { Effect, Fiber } from "effect"
import * as fc from "fast-check"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { createConnection, createServer, Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { PassThrough, Readable, Writable } from "node:stream"
import * as v8 from "node:v8"
import * as vm from "node:vm"

/** A socket that is connected to nothing: bytes come when a test says so. */
const makeFed = (options?: PipeChannel.Options) => {
  const socket = new Socket()
  const channel = PipeChannel.makeUnsafe(socket, options)
  const frames: Array<unknown> = []
  const ends: Array<ChannelEnd> = []
  channel.onFrameUnsafe((frame) => frames.push(frame))
  channel.onEndUnsafe((end) => ends.push(end))
  return { channel, frames, ends, feed: (bytes: Buffer) => socket.emit("data", bytes) }
}

/** Two sockets that are really connected. */
const connected = Effect.acquireRelease(
  Effect.promise(async () => {
    const folder = mkdtempSync(join(tmpdir(), "nerve-pipe-"))
    const server = createServer({ pauseOnConnect: true })
    server.listen(join(folder, "socket"))
    await once(server, "listening")
    const near = createConnection(join(folder, "socket"))
    const [[far]] = (await Promise.all([once(server, "connection"), once(near, "connect")])) as [[Socket], unknown]
    return { folder, server, near, far }
  }),
  ({ far, folder, near, server }) =>
    Effect.sync(() => {
      near.destroy()
      far.destroy()
      server.close()
      rmSync(folder, { recursive: true })
    })
)

const frame = fc.oneof(
  fc.jsonValue(),
  fc.record({ t: fc.string({ unit: "binary" }), text: fc.string({ unit: "grapheme", maxLength: 200 }) })
)

/** The bytes, cut at any places. */
const split = (bytes: Buffer, cuts: ReadonlyArray<number>): ReadonlyArray<Buffer> => {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b)
  return [0, ...places].map((from, i) => bytes.subarray(from, places[i] ?? bytes.length))
}

const lines = (frames: ReadonlyArray<unknown>): Buffer =>
  Buffer.from(frames.map((one) => `${JSON.stringify(one)}\n`).join(""))

const asJson = (values: ReadonlyArray<unknown>): unknown => JSON.parse(JSON.stringify(values))

/** What a channel takes in at once has an end: the rest has its turn later. */
const nextTurn = () => new Promise<void>((resolve) => void setImmediate(resolve))

const collect: () => void = (() => {
  v8.setFlagsFromString("--expose-gc")
  return vm.runInNewContext("gc") as () => void
})()

describe("PipeChannel, what comes", () => {
  it("gives the same frames in the same order, wherever the bytes are cut", () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 20 }), fc.array(fc.nat(), { maxLength: 40 }), (sent, cuts) => {
        const { ends, feed, frames } = makeFed()
        for (const bytes of split(lines(sent), cuts)) feed(bytes)
        assert.deepStrictEqual(frames, asJson(sent))
        assert.deepStrictEqual(ends, [])
      }),
      { numRuns: 500 }
    )
  })

  it("gives the same frames byte by byte", () => {
    const sent = [{ text: "grüße, 世界 🦊 \u2028" }, "", [[]], { n: -0.5 }]
    const { feed, frames } = makeFed()
    for (const byte of lines(sent)) feed(Buffer.from([byte]))
    assert.deepStrictEqual(frames, asJson(sent))
  })

  it("breaks at the cap when a frame's end does not come, and takes nothing more", () => {
    const { ends, feed, frames } = makeFed({ maxLength: 100 })
    feed(Buffer.from(`1\n${"x".repeat(90)}`))
    assert.deepStrictEqual(ends, [])
    feed(Buffer.from("x".repeat(11)))
    feed(Buffer.from("\n2\n"))
    assert.deepStrictEqual(frames, [1])
    assert.deepStrictEqual(ends, [{ _tag: "Broken", message: "a frame of more than 100 bytes" }])
  })

  it("breaks at a line that is no JSON; what came before it counts, what comes after does not", () => {
    const { ends, feed, frames } = makeFed()
    feed(Buffer.from(`1\n{"a":\n2\n`))
    feed(Buffer.from("3\n"))
    assert.deepStrictEqual(frames, [1])
    assert.deepStrictEqual(ends, [{ _tag: "Broken", message: `a line that is not JSON: {"a":` }])
  })

  it("shows no more than the beginning of a long bad line", () => {
    const { ends, feed } = makeFed()
    feed(Buffer.from(`${"x".repeat(100_000)}\n`))
    assert.isBelow(JSON.stringify(ends).length, 300)
  })

  it("writes what the tick has gathered when told to, before anything else runs", () => {
    const written: Array<string> = []
    const output = new Writable({
      decodeStrings: false,
      write: (chunk: string, _, done) => {
        written.push(chunk)
        done()
      }
    })
    const channel = PipeChannel.ofStreamsUnsafe(new Readable({ read: () => {} }), output)
    channel.sendUnsafe(1)
    channel.sendUnsafe(2)
    assert.deepStrictEqual(written, [])
    channel.flushUnsafe()
    assert.deepStrictEqual(written, ["1\n2\n"])
    channel.flushUnsafe()
    assert.deepStrictEqual(written, ["1\n2\n"])
  })

  it("writes at once what stands alone, after a frame that came alone; else the tick gathers", () => {
    const written: Array<string> = []
    const input = new Readable({ read() {} })
    const output = new Writable({ write: (chunk, _encoding, done) => (written.push(String(chunk)), done()) })
    const channel = PipeChannel.ofStreamsUnsafe(input, output)
    channel.onFrameUnsafe(() => {})
    const came = (text: string) => input.emit("data", Buffer.from(text))
    const send = (n: number, alone: boolean) => {
      channel.sendUnsafe(n, alone)
      return written.splice(0).join("")
    }
    assert.strictEqual(send(1, true), "", "nothing has come yet")
    channel.flushUnsafe()
    written.length = 0
    came("1\n")
    assert.strictEqual(send(2, false), "", "others are expected")
    assert.strictEqual(send(3, true), "", "the tick has begun to gather")
    channel.flushUnsafe()
    assert.deepStrictEqual(written.splice(0), ["2\n3\n"])
    came("1\n")
    assert.strictEqual(send(4, true), "4\n")
    assert.strictEqual(send(5, true), "", "one at once for each that came")
    channel.flushUnsafe()
    written.length = 0
    came("1\n2\n")
    assert.strictEqual(send(6, true), "", "several came")
    input.destroy()
    output.destroy()
  })

  it("keeps what comes before there is a receiver, and gives it first", () => {
    const socket = new Socket()
    const channel = PipeChannel.makeUnsafe(socket)
    socket.emit("data", Buffer.from("1\n2\n"))
    const frames: Array<unknown> = []
    channel.onFrameUnsafe((one) => frames.push(one))
    socket.emit("data", Buffer.from("3\n"))
    assert.deepStrictEqual(frames, [1, 2, 3])
  })

  it("a peer that sends single bytes costs hardly more than what it sends", async () => {
    const { feed } = makeFed()
    const count = 1_000_000
    collect()
    const before = process.memoryUsage()
    for (let i = 0; i < count; i++) {
      feed(Buffer.from([120]))
      if (i % 10_000 === 0) await nextTurn()
    }
    collect()
    const after = process.memoryUsage()
    const grown = after.heapUsed + after.external - before.heapUsed - before.external
    assert.isBelow(grown, 20 * count)
  })
})

describe("PipeChannel, whose turn it is", () => {
  /** A channel over a stream, that is told everything at once. */
  const makeStreamed = () => {
    const input = new Readable({ read: () => {} })
    const output = new Writable()
    const channel = PipeChannel.ofStreamsUnsafe(input, output)
    const frames: Array<unknown> = []
    channel.onFrameUnsafe((one) => frames.push(one))
    return { channel, frames, input, output, ended: new Promise((resolve) => channel.onEndUnsafe(resolve)) }
  }
  const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)

  it("of a chunk of many frames the others have their turn in between, and all come", async () => {
    const { ended, frames, input } = makeStreamed()
    input.push(lines(numbers(20_000)))
    await once(input, "data")
    assert.isAbove(frames.length, 0)
    assert.isBelow(frames.length, 2000)
    await nextTurn()
    assert.isBelow(frames.length, 4000)
    input.push(null)
    assert.deepStrictEqual(await ended, { _tag: "Closed" })
    assert.deepStrictEqual(frames, numbers(20_000))
  })

  it("who pauses it is told nothing more, not even what was read already, until it is resumed", async () => {
    const { channel, ended, frames, input } = makeStreamed()
    channel.onFrameUnsafe((one) => {
      frames.push(one)
      if (one === 2) channel.pauseUnsafe()
    })
    input.push(lines(numbers(10)))
    await once(input, "data")
    input.push(lines([10, 11]))
    input.push(null)
    await nextTurn()
    await nextTurn()
    assert.deepStrictEqual(frames, [0, 1, 2])
    channel.resumeUnsafe()
    await ended
    assert.deepStrictEqual(frames, numbers(12))
  })

  it("is told all that came before a fault, then of the end", async () => {
    const socket = new Socket()
    const channel = PipeChannel.makeUnsafe(socket)
    const told: Array<unknown> = []
    channel.onFrameUnsafe((one) => told.push(one))
    channel.onEndUnsafe((end) => told.push(end))
    channel.pauseUnsafe()
    socket.emit("data", lines([1, 2]))
    socket.emit("data", lines([3]))
    socket.destroy(new Error("ECONNRESET"))
    await new Promise((resolve) => socket.once("close", resolve))
    assert.deepStrictEqual(told, [1, 2, 3, { _tag: "Closed" }])
  })

  it("is told what was written before its own writes failed, as a process does that writes and exits", async () => {
    const { channel, ended, frames, input, output } = makeStreamed()
    output.destroy(new Error("write EPIPE"))
    await once(output, "error")
    assert.strictEqual(channel.sendUnsafe(1), "ended")
    // Those are in the pipe, and read when the loop comes to it.
    input.push(lines(numbers(20_000)))
    channel.pauseUnsafe()
    await nextTurn()
    await nextTurn()
    await nextTurn()
    channel.resumeUnsafe()
    input.push("garbage\n")
    assert.include(await ended, { _tag: "Broken" })
    assert.deepStrictEqual(frames, numbers(20_000))
  })

  it("ends when its writes have failed and nothing comes, or too much", async () => {
    const silent = makeStreamed()
    silent.output.destroy(new Error("write EPIPE"))
    assert.deepStrictEqual(await silent.ended, { _tag: "Closed" })
    const loud = makeStreamed()
    let isOver = false
    const more = () => {
      if (!isOver) loud.input.push(lines(numbers(10_000)))
      if (!isOver) setImmediate(more)
    }
    more()
    loud.output.destroy(new Error("write EPIPE"))
    assert.deepStrictEqual(await loud.ended, { _tag: "Closed" })
    isOver = true
  })

  it("is told all that came before the end, however its streams are resumed", async () => {
    const { channel, ended, frames, input } = makeStreamed()
    channel.onFrameUnsafe((one) => {
      frames.push(one)
      if (one === 2) channel.pauseUnsafe()
    })
    for (let n = 0; n < 3; n++) input.push(lines(numbers(10)))
    input.push(null)
    await once(input, "data")
    // As Node does with the streams of a child that has exited.
    input.resume()
    await nextTurn()
    input.resume()
    await ended
    assert.deepStrictEqual(frames, [...numbers(10), ...numbers(10), ...numbers(10)])
  })
})

describe("PipeChannel, frames that are nested without end", () => {
  const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`

  it("break it before they are parsed; what is as long and not as deep is read", async () => {
    const long = `["${nested(150_000)}",${nested(9_000)}]`
    const { ends, feed, frames } = makeFed()
    for (const bytes of split(
      Buffer.from(`${long}\n${nested(150_000)}\n1\n`),
      [60_000, 120_000, 180_000, 240_000, 300_000]
    )) {
      feed(bytes)
      await nextTurn()
    }
    await nextTurn()
    assert.lengthOf(frames, 1)
    assert.deepStrictEqual(ends, [{ _tag: "Broken", message: "a frame of more than 10000 levels" }])
  })
})

describe("PipeChannel, log frames that are too long", () => {
  const log = (length: number) => ({ t: "log", level: "INFO", message: `ü${"x".repeat(length)}`, fields: { n: 1 } })
  const bytesOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value))

  /** A channel that these frames came to, cut at these places. */
  const after = async (sent: ReadonlyArray<unknown>, cuts: ReadonlyArray<number>, options?: PipeChannel.Options) => {
    const { ends, feed, frames } = makeFed(options)
    for (const bytes of split(lines(sent), cuts)) {
      feed(bytes)
      await nextTurn()
    }
    return { ends, frames }
  }

  it("are cut to their head wherever the bytes are cut, and what follows is read", () => {
    const long = log(200_000)
    return fc.assert(
      fc.asyncProperty(fc.array(fc.nat(), { maxLength: 20 }), async (cuts) => {
        const { ends, frames } = await after([1, long, 2], [...cuts, 60_000, 120_000, 180_000])
        const [first, cut, last] = frames as [unknown, typeof long, unknown]
        assert.deepStrictEqual([first, last, ends], [1, 2, []])
        assert.deepStrictEqual(
          [cut.t, cut.level, cut.fields],
          ["log", "INFO", { leftOutBytes: bytesOf(long) - 65_536 }]
        )
        assert.isTrue(cut.message.endsWith("x…") && long.message.startsWith(cut.message.slice(0, -1)))
        assert.isAbove(cut.message.length, 65_000)
      }),
      { numRuns: 100 }
    )
  })

  it("are read whole up to 65 536 bytes; so are other frames of any length", async () => {
    const around = log(65_536 - bytesOf(log(0)))
    for (const one of [around, { t: "done", id: 1, value: "x".repeat(200_000) }]) {
      const { frames } = await after([one], [65_000, 130_000])
      assert.isTrue(JSON.stringify(frames) === JSON.stringify([one]))
    }
  })

  it("break the channel like any frame when their end does not come", async () => {
    const { ends, frames } = await after([log(400_000)], [100_000, 200_000, 300_000], { maxLength: 300_000 })
    assert.deepStrictEqual(frames, [])
    assert.deepStrictEqual(ends, [{ _tag: "Broken", message: "a frame of more than 300000 bytes" }])
  })
})

describe("PipeChannel, what goes", () => {
  const watched = (socket: Socket) => {
    const channel = PipeChannel.makeUnsafe(socket)
    const frames: Array<unknown> = []
    channel.onFrameUnsafe((one) => frames.push(one))
    const ended = new Promise((resolve) => channel.onEndUnsafe(resolve))
    return { channel, ended: Effect.promise(() => ended), frames }
  }

  const settled = (channel: Channel) => Effect.timeout(channel.drained, "60 seconds")

  it.live("says that it is full when its peer does not read, and drains when it does", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { far, near } = yield* connected
        const { channel } = watched(near)
        const text = "x".repeat(64 * 1024)
        let sent = 0
        // Within one tick already: a burst must not gather without bound before the first write.
        while (!channel.isFullUnsafe()) {
          channel.sendUnsafe({ n: sent++, text })
          assert.isBelow(sent, 100)
        }
        const other = watched(far)
        const drained = yield* Effect.forkChild(settled(channel))
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        assert.isTrue(channel.isFullUnsafe())
        assert.isUndefined(drained.pollUnsafe())
        far.resume()
        yield* settled(channel)
        assert.isFalse(channel.isFullUnsafe())
        channel.sendUnsafe("last")
        channel.closeUnsafe()
        yield* other.ended
        assert.strictEqual(other.frames.length, sent + 1)
        assert.strictEqual(other.frames.at(-1), "last")
      })
    )
  )

  it.live("whoever waits for a full channel goes on when it ends", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { far, near } = yield* connected
        const { channel } = watched(near)
        while (!channel.isFullUnsafe()) channel.sendUnsafe({ text: "x".repeat(64 * 1024) })
        const waiting = yield* Effect.forkChild(settled(channel))
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        far.destroy()
        yield* Fiber.join(waiting)
        assert.strictEqual(channel.sendUnsafe("late"), "ended")
      })
    )
  )

  it.live("sends what it was given before it closes", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { far, near } = yield* connected
        const { channel } = watched(near)
        for (let i = 0; i < 1000; i++) channel.sendUnsafe({ i, text: "x".repeat(1000) })
        channel.closeUnsafe()
        const other = watched(far)
        far.resume()
        yield* Effect.promise(() => once(far, "end"))
        assert.strictEqual(other.frames.length, 1000)
      })
    )
  )

  it.live("sends frames of any length whole and in order to a peer that reads late", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { far, near } = yield* connected
        const { channel } = watched(near)
        // Such that fit into a buffer that is used again, such that do not, and such that are gathered.
        const lengths = [10, 20_000, 87_300, 87_400, 30_000, 16_384, 300_000, 1, 60_000]
        const sent = Array.from({ length: 60 }, (_, i) => {
          const length = lengths[i % lengths.length] ?? 0
          return { i, text: ["x", "ü", "世", "🦊"][i % 4]?.repeat(length) }
        })
        for (const frame of sent) channel.sendUnsafe(frame)
        assert.isTrue(channel.isFullUnsafe())
        const other = watched(far)
        far.resume()
        yield* settled(channel)
        // Buffers of before are free again.
        for (const frame of sent) channel.sendUnsafe(frame)
        channel.closeUnsafe()
        yield* other.ended
        assert.deepStrictEqual(other.frames, [...sent, ...sent])
      })
    )
  )

  it.live("keeps hardly more in memory than the frames that wait for their peer", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { near } = yield* connected
        const { channel } = watched(near)
        const before = process.memoryUsage().arrayBuffers
        for (let i = 0; i < 200; i++) channel.sendUnsafe("x".repeat(20_000))
        assert.isBelow(process.memoryUsage().arrayBuffers - before, 2 * 200 * 20_000)
      })
    )
  )

  it("gives a stream that may pass on what it is given a buffer of its own", async () => {
    const passing = new PassThrough({ highWaterMark: 10_000_000 })
    const channel = PipeChannel.ofStreamsUnsafe(new Readable({ read: () => {} }), passing)
    const sent = ["x", "y", "z"].map((one) => one.repeat(50_000))
    for (const frame of sent) {
      channel.sendUnsafe(frame)
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.strictEqual(String(passing.read()), sent.map((one) => `${JSON.stringify(one)}\n`).join(""))
  })

  it("writes a long frame at once, after those that were gathered", () => {
    const written: Array<string> = []
    const output = new Writable({ write: (chunk, _encoding, done) => (written.push(String(chunk)), done()) })
    const channel = PipeChannel.ofStreamsUnsafe(new Readable({ read: () => {} }), output)
    const long = "x".repeat(20_000)
    channel.sendUnsafe(1)
    channel.sendUnsafe(long)
    channel.sendUnsafe(2)
    assert.strictEqual(written.join(""), `1\n"${long}"\n`)
    channel.flushUnsafe()
    assert.strictEqual(written.join(""), `1\n"${long}"\n2\n`)
  })

  it("refuses what is too large or no JSON, by its bytes and not by its characters", () => {
    const { channel } = makeFed({ maxLength: 20 })
    const circular: { self?: unknown } = {}
    circular.self = circular
    const deep: unknown = JSON.parse(`${"[".repeat(200_000)}${"]".repeat(200_000)}`)
    assert.deepStrictEqual(
      ["x".repeat(18), "x".repeat(19), "世世世世世世", "世世世世世世世", circular, 10n, deep].map((one) =>
        channel.sendUnsafe(one)
      ),
      ["sent", "too-large", "sent", "too-large", "not-json", "not-json", "not-json"]
    )
  })
})
