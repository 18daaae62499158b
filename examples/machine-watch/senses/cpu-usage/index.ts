/**
 * How busy the processor is, as the difference between this reading and the one before, which is kept
 * in the sense's database. Past the threshold it launches `investigate-load`, at most every 30 s.
 */
import { env } from "node:process"
import { Sense } from "@nerve/core"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Core, readCores, usageBetween } from "./cores.ts"

/**
 * Share of one core's time. So low that the demo meets it within the first minute on any machine that
 * runs at all; for real use set the variable CPU_THRESHOLD to something like 0.9.
 */
const threshold = Number(env["CPU_THRESHOLD"] ?? 0.001)
/** Least time between two launches. */
const pauseMs = 30_000
/** A reading older than this says nothing about now. */
const staleMs = 60_000
const keepMs = 24 * 60 * 60 * 1000

const Cores = Schema.fromJsonString(Schema.Array(Core))
const percent = (share: number): string => `${(share * 100).toFixed(1)} %`

export default Sense.make({
  signal: Schema.Struct({ usage: Schema.Finite, busiest: Schema.Finite }),
  compute: Effect.gen(function* () {
    const sql = yield* Sense.Database
    const now = yield* Clock.currentTimeMillis
    const cores = yield* Effect.tryPromise(readCores)

    const [previous] = yield* sql<{ readonly cores: string }>`
      SELECT cores FROM readings WHERE at > ${now - staleMs} ORDER BY id DESC LIMIT 1`
    const before = previous === undefined ? [] : yield* Schema.decodeEffect(Cores)(previous.cores)
    const found = usageBetween(before, cores)
    const encoded = yield* Schema.encodeEffect(Cores)(cores)
    yield* sql`
      INSERT INTO readings (at, cores, usage, busiest)
      VALUES (${now}, ${encoded}, ${found?.usage ?? null}, ${found?.busiest ?? null})`
    yield* sql`DELETE FROM readings WHERE at < ${now - keepMs}`

    if (found === undefined) return Sense.skip("first reading: usage is the difference of two")
    if (found.busiest < threshold) return Sense.signal(found)

    const recent = yield* sql`SELECT id FROM launches WHERE at > ${now - pauseMs} LIMIT 1`
    if (recent.length > 0) return Sense.signal(found)
    yield* sql`INSERT INTO launches (at, busiest) VALUES (${now}, ${found.busiest})`
    return Sense.signal(found, {
      launch: {
        workflow: "investigate-load",
        prompt:
          `The busiest core was ${percent(found.busiest)} busy (all cores together: ${percent(found.usage)}), ` +
          `the threshold is ${percent(threshold)}. What keeps this machine busy, and is its disk filling up?`
      }
    })
  })
})
