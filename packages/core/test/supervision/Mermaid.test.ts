/**
 * Diagrams as text: golden files in place, and that no name can break out of its label.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Mermaid from "@nerve/core/supervision/Mermaid"
import * as fc from "fast-check"
import { leaf, root } from "./stateTrees.ts"

describe("Mermaid.tree", () => {
  it("draws a supervisor with its children, states and what is to come (L7)", () => {
    expect(Mermaid.tree(root)).toBe(`flowchart TD
  n[["shop<br/>supervisor rest-for-one<br/>Running, breaker half-open"]]:::Running
  n_0["db<br/>command<br/>Running<br/>command: postgres -D /data"]:::Running
  n --> n_0
  n_1[["web<br/>supervisor one-for-one<br/>Running"]]:::Running
  n_1_0["http<br/>process<br/>Running, 1 crash"]:::Running
  n_1 --> n_1_0
  n_1_1["mail<br/>thread<br/>Failed, delayed, 3 crashes"]:::Failed
  n_1 --> n_1_1
  n --> n_1
  classDef Running fill:#c8f0d0,color:#333333
  classDef Failed fill:#f8c8c8,color:#333333
`)
  })

  it("escapes names and metadata: no quote, bracket, tag, entity or line break of theirs is left", () => {
    const name = `x"]; click n "javascript:alert(1)" <b>&amp;#quot;\n--> end`
    const text = Mermaid.tree(leaf(name, { metadata: { "k]": "`v`" } }))
    expect(text).toBe(`flowchart TD
  n["x#34;#93;#59; click n #34;javascript:alert#40;1#41;#34; #60;b#62;#38;amp#59;#35;quot#59;#10;--#62; end<br/>effect<br/>Running<br/>k#93;: #96;v#96;"]:::Running
  classDef Running fill:#c8f0d0,color:#333333
`)
  })

  it("whatever the names, it has a line per worker, per edge and per class, and labels close where they should", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary" }), { maxLength: 5 }), (names) => {
        const text = Mermaid.tree({ ...root, children: names.map((name) => leaf(name)) })
        expect(text.split("\n")).toHaveLength(1 + 1 + 2 * names.length + 1 + 1)
        for (const line of text.split("\n")) expect(line.split('"').length - 1).toBe(line.includes("[") ? 2 : 0)
      })
    )
  })
})

describe("Mermaid.stateDiagram", () => {
  it("draws the states of one worker and marks the present one", () => {
    expect(Mermaid.stateDiagram({ id: `mail: "a"`, state: "Suspended" })).toBe(`---
title: "mail: \\"a\\""
---
stateDiagram-v2
  [*] --> Pending
  Pending --> Starting: start
  Pending --> Stopped: stop
  Starting --> Running: started
  Running --> Suspended: suspend
  Suspended --> Running: resume
  Starting --> Stopping: stop
  Running --> Stopping: stop
  Suspended --> Stopping: stop
  Stopping --> Stopped: ended
  Stopping --> Killed: killed
  Starting --> Failed: error
  Running --> Failed: error
  Suspended --> Failed: error
  Starting --> Killed: killed
  Running --> Killed: killed
  Suspended --> Killed: killed
  Starting --> Finished: ended
  Running --> Finished: ended
  Suspended --> Finished: ended
  Stopped --> [*]
  Failed --> [*]
  Killed --> [*]
  Finished --> [*]
  classDef present stroke-width:4px
  class Suspended present
`)
  })

  it("draws the states alone when no worker is given", () => {
    expect(Mermaid.stateDiagram()).toMatch(/^stateDiagram-v2\n {2}\[\*\] --> Pending\n/)
    expect(Mermaid.stateDiagram()).not.toContain("present")
  })
})
