/**
 * The life of a member: it boots, gets ready and takes over, is lost, exits, is stopped or killed. One that is gone
 * never comes back.
 */
import type { Input } from "../PoolMachine.ts"
import { isOccupant, type Member } from "../PoolState.ts"
import * as CallMap from "./callMap.ts"
import { change, type Draft, fail, findMember, setMember, setSlot } from "./poolDraft.ts"

/** What is said of a worker that is killed because of calls that it does not let go. */
const deaf = "it does not confirm that calls were cancelled"

const made = (id: number, slot: number, generation: number, replaces: number | null): Member => ({
  id,
  slot,
  generation,
  stage: "booting",
  replaces,
  due: null,
  kept: false,
  recycled: false,
  hurt: false,
  killBy: Infinity,
  readyAt: 0,
  idleSince: 0,
  jobs: 0,
  usedAt: 0,
  running: CallMap.empty
})

/** Boots a member, to take over from another one where there is one. */
export const boot = (draft: Draft, slot: number, old: Member | null): void => {
  const member = draft.nextMember
  const replaces = old?.id ?? null
  draft.nextMember += 1
  draft.members = [...draft.members, made(member, slot, draft.generation, replaces)]
  draft.actions.push({ _tag: "Boot", member, slot, replaces, why: old === null ? null : (old.due ?? "reload") })
}

export const ready = (draft: Draft, id: number, now: number): void =>
  change(draft, id, (member) => {
    if (member.stage !== "booting") return member
    const old = findMember(draft, member.replaces)
    if (old?.stage === "ready") setMember(draft, { ...old, stage: "leaving", recycled: true })
    return { ...member, stage: "ready", replaces: null, readyAt: now, idleSince: now }
  })

export const lost = (draft: Draft, id: number): void =>
  change(draft, id, (member) =>
    member.stage === "booting" || member.stage === "ready" ? { ...member, stage: "lost" } : member
  )

/** The slot is no longer this member's: whoever was to take over from it has the slot now. */
const succeed = (draft: Draft, id: number): boolean => {
  const successor = draft.members.find((one) => one.replaces === id && isOccupant(one))
  if (successor !== undefined) setMember(draft, { ...successor, replaces: null })
  return successor !== undefined
}

/** Its calls fail; the slot asks its policy, unless the member was told to go or somebody has its place. */
export const exited = (draft: Draft, input: Extract<Input, { readonly _tag: "Exited" }>): void => {
  const member = findMember(draft, input.member)
  if (member === undefined) return
  draft.structural = true
  draft.members = draft.members.filter((one) => one !== member)
  for (const { call, state } of CallMap.values(member.running)) {
    if (state === "live") fail(draft, call, { _tag: "Died", member: member.id })
  }
  const slot = draft.slots.find((one) => one.slot === member.slot)
  if (!isOccupant(member) || succeed(draft, member.id) || slot === undefined || draft.closing !== null) return
  setSlot(draft, { ...slot, crashes: slot.crashes + 1, pause: { _tag: "Asked", member: member.id } })
  const { exit, reason, uptimeMs } = input
  draft.actions.push({ _tag: "AskPolicy", slot: slot.slot, member: member.id, exit, uptimeMs, reason })
}

export const kill = (draft: Draft, member: Member, reason: string): void => {
  draft.structural = true
  setMember(draft, { ...member, stage: "going", killBy: Infinity })
  draft.actions.push({ _tag: "Kill", member: member.id, reason })
}

export const killDeaf = (draft: Draft, member: Member): void => kill(draft, member, deaf)

export const stop = (draft: Draft, member: Member): void => {
  setMember(draft, { ...member, stage: "going", killBy: Infinity })
  draft.actions.push({ _tag: "Stop", member: member.id })
}

/** Members that leave go when nobody waits for them any more. */
export const leave = (draft: Draft): void => {
  for (const member of draft.members) {
    if (member.stage !== "leaving") continue
    if (!member.hurt && member.running.size === 0) stop(draft, member)
    if (member.hurt && !CallMap.values(member.running).some((one) => one.state === "live")) killDeaf(draft, member)
  }
}
