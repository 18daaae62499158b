/**
 * What the crash test finds in a log and in the lines that rounds left outside it. Pure: the same
 * figures from the same facts, and what is wrong in words.
 */

/** One entry of source `workflow`, oldest first. */
export interface Entry {
  readonly id: number
  readonly type: string
  readonly thread: string
  readonly round: number | null
  /** The workflow that the entry names; null where it names none. */
  readonly workflow: string | null
  /** Of a `crashed`: the thread does not go on. */
  readonly final: boolean
}

/** A round that was run, in the order in which it left its line. */
export interface Effect {
  readonly thread: string
  readonly round: number
}

export interface Facts {
  readonly kills: number
  /** Threads that somebody was promised. */
  readonly promised: ReadonlyArray<string>
  readonly entries: ReadonlyArray<Entry>
  readonly effects: ReadonlyArray<Effect>
  /** Slots and places that the last daemon still counted when all was over. */
  readonly occupied: number
  readonly concurrency: number
}

export interface Figures {
  readonly kills: number
  readonly threads: number
  readonly ended: number
  readonly roundsRecorded: number
  readonly roundsDoubled: number
  readonly effectsLost: number
  readonly effectsRepeated: number
  readonly slotsLeaked: number
}

export interface Judgement {
  readonly figures: Figures
  /** What must not be, in words; none when all is well. */
  readonly faults: ReadonlyArray<string>
}

const ends = new Set(["completed", "failed", "dropped", "interrupted", "killed"])

const isEnd = ({ final, type }: Entry): boolean => ends.has(type) || (type === "crashed" && final)

/** Rounds that wait leave no line: their effect is the wait itself. */
export const judge = ({ concurrency, effects, entries, kills, occupied, promised }: Facts): Judgement => {
  const faults: Array<string> = []
  const threads = new Set(entries.map(({ thread }) => thread))
  const ended = new Map<string, number>()
  const recorded = new Map<string, number>()
  const waited = new Set<string>()
  const workflowOf = new Map<string, string>()
  const active = new Map<string, Set<string>>()
  const firstStarts = new Map<string, Array<string>>()
  const created: Array<string> = []
  let slotsLeaked = occupied

  for (const entry of entries) {
    const { round, thread, type, workflow } = entry
    if (workflow !== null && !workflowOf.has(thread)) {
      workflowOf.set(thread, workflow)
      created.push(thread)
    }
    const own = workflowOf.get(thread) ?? "?"
    const slots = active.get(own) ?? new Set()
    active.set(own, slots)
    if (type === "started") {
      slots.add(thread)
      if (slots.size > concurrency) slotsLeaked++
      const starts = firstStarts.get(own) ?? []
      firstStarts.set(own, starts)
      if (!starts.includes(thread)) starts.push(thread)
    }
    if (type === "waiting") {
      slots.delete(thread)
      waited.add(`${thread} ${round ?? recordedOf(recorded, thread) + 1}`)
    }
    if (type === "message") recorded.set(`${thread} ${round}`, (recorded.get(`${thread} ${round}`) ?? 0) + 1)
    if (isEnd(entry)) {
      slots.delete(thread)
      ended.set(thread, (ended.get(thread) ?? 0) + 1)
      if (type !== "completed") faults.push(`thread ${thread} ended as ${type}`)
    }
  }

  for (const thread of promised) if (!threads.has(thread)) faults.push(`thread ${thread} was promised and is lost`)
  for (const thread of threads) {
    const times = ended.get(thread) ?? 0
    if (times !== 1) faults.push(`thread ${thread} ended ${times} times`)
  }
  for (const [own, starts] of firstStarts) {
    const inOrder = created.filter((thread) => workflowOf.get(thread) === own && starts.includes(thread))
    const at = inOrder.findIndex((thread, index) => starts[index] !== thread)
    if (at >= 0) faults.push(`the queue of ${own} was not kept: ${starts[at]} was started before ${inOrder[at]}`)
  }

  // --- what happened outside -----------------------------------------------------------------------

  const ran = new Map<string, number>()
  const latest = new Map<string, number>()
  for (const { round, thread } of effects) {
    ran.set(`${thread} ${round}`, (ran.get(`${thread} ${round}`) ?? 0) + 1)
    const before = latest.get(thread) ?? 0
    // A later round runs only when this one is recorded: a line of an earlier round is a finished round run again.
    if (round < before) faults.push(`round ${round} of ${thread} ran again after round ${before}`)
    latest.set(thread, Math.max(before, round))
  }
  let effectsLost = 0
  for (const key of recorded.keys()) {
    if (waited.has(key) || ran.has(key)) continue
    effectsLost++
    faults.push(`round ${key} is recorded and left no line`)
  }
  const roundsDoubled = sum([...recorded.values()].map((times) => times - 1))
  if (roundsDoubled > 0) faults.push(`${roundsDoubled} rounds are recorded twice`)
  if (slotsLeaked > 0) faults.push(`${slotsLeaked} slots leaked`)
  return {
    figures: {
      kills,
      threads: threads.size,
      ended: ended.size,
      roundsRecorded: recorded.size,
      roundsDoubled,
      effectsLost,
      effectsRepeated: sum([...ran.values()].map((times) => times - 1)),
      slotsLeaked
    },
    faults
  }
}

const recordedOf = (recorded: ReadonlyMap<string, number>, thread: string): number =>
  [...recorded.keys()].filter((key) => key.startsWith(`${thread} `)).length

const sum = (values: ReadonlyArray<number>): number => values.reduce((total, value) => total + value, 0)
