/**
 * How much of the machine's memory is in use, and how that changed within the last minute.
 */
import { Sense } from "@nerve/core"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { readMemory } from "./meminfo.ts"

const minuteMs = 60_000
const keepMs = 24 * 60 * minuteMs

export default Sense.make({
  signal: Schema.Struct({
    /** Bytes. */
    total: Schema.Finite,
    available: Schema.Finite,
    /** Share in use, from 0 to 1. */
    usage: Schema.Finite,
    /** Bytes more (or less) in use than at the oldest reading of the last minute. */
    growth: Schema.Finite
  }),
  compute: Effect.gen(function* () {
    const sql = yield* Sense.Database
    const now = yield* Clock.currentTimeMillis
    const { available, total } = yield* Effect.tryPromise(readMemory)

    yield* sql`INSERT INTO readings (at, total, available) VALUES (${now}, ${total}, ${available})`
    yield* sql`DELETE FROM readings WHERE at < ${now - keepMs}`
    const [oldest] = yield* sql<{ readonly available: number }>`
      SELECT available FROM readings WHERE at >= ${now - minuteMs} ORDER BY id LIMIT 1`

    const growth = (oldest?.available ?? available) - available
    return Sense.signal({ total, available, usage: 1 - available / total, growth })
  })
})
