/**
 * Diagrams in Mermaid's language (L7): the states of one worker, and the tree of a supervisor. Pure text;
 * ids and labels are escaped, so that a worker may be called anything.
 */
import * as LifecycleState from "./LifecycleState.ts"
import type { StateTree } from "./StateTree.ts"

/**
 * The transitions, written out for people; a test holds them against `LifecycleState.decide`. Input by
 * state, except those ends that are alike in every state that lives.
 */
export const transitions: ReadonlyArray<
  readonly [LifecycleState.LifecycleState, LifecycleState.LifecycleState, string]
> = [
  ["Pending", "Starting", "start"],
  ["Pending", "Stopped", "stop"],
  ["Starting", "Running", "started"],
  ["Running", "Suspended", "suspend"],
  ["Suspended", "Running", "resume"],
  ["Starting", "Stopping", "stop"],
  ["Running", "Stopping", "stop"],
  ["Suspended", "Stopping", "stop"],
  ["Stopping", "Stopped", "ended"],
  ["Stopping", "Killed", "killed"],
  ["Starting", "Failed", "error"],
  ["Running", "Failed", "error"],
  ["Suspended", "Failed", "error"],
  ["Starting", "Killed", "killed"],
  ["Running", "Killed", "killed"],
  ["Suspended", "Killed", "killed"],
  ["Starting", "Finished", "ended"],
  ["Running", "Finished", "ended"],
  ["Suspended", "Finished", "ended"]
]

const ends = LifecycleState.Outcome.literals

/** The states of one worker as a state diagram, the present one marked when it is given. */
export const stateDiagram = (worker?: Pick<StateTree, "id" | "state">): string =>
  [
    ...(worker === undefined ? [] : ["---", `title: ${yamlText(worker.id)}`, "---"]),
    "stateDiagram-v2",
    "  [*] --> Pending",
    ...transitions.map(([from, to, label]) => `  ${from} --> ${to}: ${label}`),
    ...ends.map((state) => `  ${state} --> [*]`),
    ...(worker === undefined ? [] : ["  classDef present stroke-width:4px", `  class ${worker.state} present`]),
    ""
  ].join("\n")

/** A supervisor's tree, top down, each worker with its state; the classes name the states. */
export const tree = (root: StateTree): string => {
  const lines: Array<string> = ["flowchart TD"]
  const used = new Set<LifecycleState.LifecycleState>()
  const draw = (node: StateTree, name: string): void => {
    used.add(node.state)
    lines.push(`  ${name}${shape(node)}:::${node.state}`)
    node.children.forEach((child, i) => {
      const childName = `${name}_${i}`
      draw(child, childName)
      lines.push(`  ${name} --> ${childName}`)
    })
  }
  draw(root, "n")
  for (const state of LifecycleState.LifecycleState.literals) {
    if (used.has(state)) lines.push(`  classDef ${state} ${colours[state]}`)
  }
  return [...lines, ""].join("\n")
}

const shape = (node: StateTree): string => {
  const label = labelOf(node)
  return node.kind === "supervisor" ? `[["${label}"]]` : `["${label}"]`
}

const labelOf = (node: StateTree): string =>
  [
    escape(node.id),
    node.strategy === null ? node.kind : `${node.kind} ${node.strategy}`,
    [
      node.state,
      ...(node.plan === "none" ? [] : [node.plan]),
      ...(node.crashes === 0 ? [] : [`${node.crashes} ${node.crashes === 1 ? "crash" : "crashes"}`]),
      ...(node.breaker === null || node.breaker === "closed" ? [] : [`breaker ${node.breaker}`])
    ].join(", "),
    ...Object.entries(node.metadata).map(([key, value]) => `${escape(key)}: ${escape(value)}`)
  ].join("<br/>")

const colours: { readonly [State in LifecycleState.LifecycleState]: string } = {
  Pending: "fill:#eeeeee,color:#333333",
  Starting: "fill:#fff3c4,color:#333333",
  Running: "fill:#c8f0d0,color:#333333",
  Suspended: "fill:#d8d8f8,color:#333333",
  Stopping: "fill:#fde2c0,color:#333333",
  Stopped: "fill:#dddddd,color:#333333",
  Failed: "fill:#f8c8c8,color:#333333",
  Killed: "fill:#e8a8a8,color:#333333",
  Finished: "fill:#cfe8f8,color:#333333"
}

/** Characters that could end a label, start a tag or be read as Mermaid's markup become entities. */
const escape = (text: string): string =>
  text.replaceAll(/[^\p{L}\p{N} .,:/@_-]/gu, (character) => `#${character.codePointAt(0) ?? 32};`)

/** A string that is one YAML scalar on one line: JSON is YAML. */
const yamlText = (text: string): string => JSON.stringify(text)
