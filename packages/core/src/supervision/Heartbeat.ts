/**
 * Whether a worker that is alive still works, decided purely: at each beat of the daemon,
 * `beat(state, observed, settings)` says whether to ask (`ping`) and whether the worker is to be taken for hung.
 *
 * A sign of life is whatever frame has come since the last beat. A beat that comes late is one of a
 * daemon that stood still itself (SIGSTOP, a laptop asleep, a blocked event loop): what the workers have
 * said meanwhile lies unread in their pipes, so that nothing can be concluded, and the bound begins anew.
 */

export interface Settings {
  /** Between two beats. */
  readonly intervalMs: number
  /** How long a worker may be silent after it was asked. `Infinity`: it is asked, for what it tells, and never killed. */
  readonly timeoutMs: number
  /** `idle`: a worker with a call in flight may be silent; the bounds of its calls judge it. */
  readonly while: "always" | "idle"
}

/** A beat that comes later than this was held up: the daemon stood still. */
export const stallMs = 1000

export interface Heartbeat {
  /** The last beat. */
  readonly beatAt: number
  /** When it was last asked or heard, or the bound began anew. */
  readonly quietSince: number
  /** The number of the last ping. */
  readonly pings: number
  /** When the ping that is not answered yet was sent; null when all are. */
  readonly askedAt: number | null
}

/** What the daemon sees at a beat. */
export interface Observed {
  /** Milliseconds of a clock that never goes back. */
  readonly now: number
  /** Whether any frame has come since the last beat. */
  readonly heard: boolean
  /** Whether silence means nothing: we do not read, or it has a call and may be silent meanwhile. */
  readonly excused: boolean
}

export type Verdict =
  | { readonly _tag: "Alive" }
  /** It is alive as far as we know, and is to be asked. */
  | { readonly _tag: "Ask"; readonly ping: number }
  | { readonly _tag: "Hung"; readonly silentMs: number }

/** Of a worker that has just said that it is ready. */
export const start = (now: number): Heartbeat => ({ beatAt: now, quietSince: now, pings: 0, askedAt: null })

/** One beat. Of two pings, the second is sent when the first is answered: a worker that hangs has one in its pipe. */
export const beat = (
  state: Heartbeat,
  { excused, heard, now }: Observed,
  { intervalMs, timeoutMs }: Settings
): { readonly state: Heartbeat; readonly verdict: Verdict } => {
  const stoodStill = now - state.beatAt > intervalMs + stallMs
  const quietSince = heard || excused || stoodStill ? now : state.quietSince
  const next = { ...state, beatAt: now, quietSince }
  if (state.askedAt === null) {
    const ping = state.pings + 1
    return { state: { ...next, quietSince: now, pings: ping, askedAt: now }, verdict: { _tag: "Ask", ping } }
  }
  const silentMs = now - quietSince
  return { state: next, verdict: silentMs >= timeoutMs ? { _tag: "Hung", silentMs } : { _tag: "Alive" } }
}

/** Its answer to a ping: how long it took, or null when it answers what was not asked. */
export const pong = (
  state: Heartbeat,
  ping: number,
  now: number
): { readonly state: Heartbeat; readonly tookMs: number | null } =>
  state.askedAt === null || ping !== state.pings
    ? { state, tookMs: null }
    : { state: { ...state, askedAt: null }, tookMs: Math.max(0, now - state.askedAt) }
