/** A worker, and a tree of some, as snapshots. */
import type * as StateTree from "@nerve/core/supervision/StateTree"

export const leaf = (id: string, over: Partial<StateTree.StateTree> = {}): StateTree.StateTree => ({
  id,
  kind: "effect",
  state: "Running",
  since: 1_700_000_000_000,
  incarnation: 1,
  crashes: 0,
  restart: "always",
  plan: "none",
  resumeId: "r",
  pid: null,
  exit: null,
  metadata: {},
  strategy: null,
  breaker: null,
  children: [],
  ...over
})

export const root = leaf("shop", {
  kind: "supervisor",
  strategy: "rest-for-one",
  restart: null,
  breaker: "half-open",
  children: [
    leaf("db", { kind: "command", pid: 4711, metadata: { command: "postgres -D /data" } }),
    leaf("web", {
      kind: "supervisor",
      strategy: "one-for-one",
      children: [
        leaf("http", { kind: "process", crashes: 1 }),
        leaf("mail", {
          kind: "thread",
          state: "Failed",
          plan: "delayed",
          crashes: 3,
          exit: { outcome: "Failed", code: 1, signal: null, error: null }
        })
      ]
    })
  ]
})
