/**
 * Asks a web server for a page, keeps how long that took, and says when it becomes slow, fails, or is well
 * again.
 */
import { Sense } from "@nerve/core"
import * as Schema from "effect/Schema"

const keepMs = 7 * 24 * 60 * 60 * 1000

const Health = Schema.Literals(["well", "slow", "failing"])

export default Sense.make({
  params: Schema.Struct({
    url: Schema.String,
    /** Milliseconds from which an answer counts as slow; 1000 unless told. */
    slow: Schema.optionalKey(Schema.Finite),
    /** Milliseconds after which there is no answer any more; 10 000 unless told. */
    timeout: Schema.optionalKey(Schema.Finite)
  }),
  signal: Schema.Struct({
    url: Schema.String,
    health: Health,
    before: Schema.NullOr(Health),
    milliseconds: Schema.Finite,
    /** The status, or why there was none. */
    answer: Schema.String
  }),
  state: { schema: Schema.NullOr(Health), initial: null },
  tables: {
    checks: Schema.Struct({ at: Schema.Int, status: Schema.NullOr(Schema.Int), milliseconds: Schema.Finite })
  },
  compute: async ({ db, params: { slow = 1_000, timeout = 10_000, url }, signal, state }) => {
    const answer = await ask(url, AbortSignal.any([signal, AbortSignal.timeout(timeout)]))
    const at = Date.now()
    const { milliseconds } = answer
    db.prepare("INSERT INTO checks (at, status, milliseconds) VALUES (?, ?, ?)").run(at, answer.status, milliseconds)
    db.prepare("DELETE FROM checks WHERE at < ?").run(at - keepMs)

    const health: typeof Health.Type =
      answer.status === null || answer.status >= 400 ? "failing" : milliseconds >= slow ? "slow" : "well"
    const before = state.get()
    state.set(health)
    if (health === before) return Sense.skip(`still ${health}: ${answer.text}`)
    return Sense.signal({ url, health, before, milliseconds, answer: answer.text })
  }
})

const ask = async (url: string, signal: AbortSignal) => {
  const start = performance.now()
  const took = () => performance.now() - start
  try {
    const response = await fetch(url, { signal, redirect: "follow" })
    // The time until the whole page is there.
    await response.arrayBuffer()
    return { status: response.status, text: `${response.status} ${response.statusText}`, milliseconds: took() }
  } catch (error) {
    return { status: null, text: reason(error), milliseconds: took() }
  }
}

/** `fetch` says `fetch failed`; what failed is the cause of it. */
const reason = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? reason(error.cause) : error.message || error.name
}
