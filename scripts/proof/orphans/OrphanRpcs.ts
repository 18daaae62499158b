import { Rpc, RpcGroup } from "effect/rpc"

export const OrphanRpcs = RpcGroup.make(
  /** Blocks the event loop for ever. */
  Rpc.make("Spin", {}),
  /** Takes no interruption. */
  Rpc.make("Linger", {}),
  /** Blocks the event loop until a child has ended, which it never does. */
  Rpc.make("SpawnSync", {})
)

export const states = ["idle", "busy", "stopped", "booting", "draining", "spawnSync"] as const
export type State = (typeof states)[number]

export const broods = ["none", "child", "session", "doubleFork"] as const
export type Brood = (typeof broods)[number]

/** `busy/session`: in this state, with such a child. */
export type Case = `${State}/${Brood}`

export const cases: ReadonlyArray<Case> = states.flatMap((state) => broods.map((brood) => `${state}/${brood}` as const))

/** How many processes there are of a case, once it is what it is to be. */
export const sizeOf = (one: Case): number =>
  1 + (one.endsWith("/none") ? 0 : 1) + (one.startsWith("spawnSync/") ? 1 : 0)
