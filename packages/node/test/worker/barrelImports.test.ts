import * as barrelImports from "@nerve/node/worker/barrelImports"
import { describe, expect, it } from "vitest"

const effect = barrelImports.membersOf(
  `/** A comment. */\nexport * as Effect from "./Effect.js"\nexport { pipe } from "./Function.js"\nexport * as Schema from './Schema.ts'\n`,
  (path) => `/effect/${path.slice(2)}`
)

const rewrite = (text: string) =>
  barrelImports.rewrite(text, (specifier) => (specifier === "effect" ? effect : undefined))

const direct = `import * as Effect from "/effect/Effect.js";`

describe("imports from a barrel", () => {
  it("are made of the modules, and the rest is left", () => {
    expect([...effect.keys()]).toEqual(["Effect", "Schema"])
    expect(rewrite(`import { Effect } from "effect"\nfoo()`)).toBe(`${direct}\nfoo()`)
    expect(rewrite(`import{Effect,Schema as S}from'effect';foo()`)).toBe(
      `${direct} import * as S from "/effect/Schema.ts";foo()`
    )
    expect(rewrite(`import { Effect, pipe, type Fiber, Exit as E } from "effect"`)).toBe(
      `${direct} import { pipe, type Fiber, Exit as E } from "effect";`
    )
  })

  it("are found behind comments, directives and other imports, and lines stay where they are", () => {
    const before = `#!/usr/bin/env node\n"use strict"\n/* import { Effect } from "effect" */ // and "that"
import "side-effect"
import * as Worker from "@nerve/runtime/ipc/Worker"
import type { Fiber } from "effect"
import data from "./data.json" with { type: "json" }
import other, { Effect as Another } from "other";
`
    const after = `\nexport default Effect.void\n`
    expect(rewrite(`${before}import {\n  Effect,\n} from "effect"${after}`)).toBe(`${before}${direct}\n\n${after}`)
  })

  it.each([
    `const text = \`\nimport { Effect } from "effect"\n\``,
    `import { Effect } from "elsewhere"\n`,
    `import { Effect /* } from "effect" */ } from "effect"\n`,
    `import { Effect } from "effect" with { type: "x" }\n`,
    ``
  ])("that are none stay: %j", (text) => {
    expect(rewrite(text)).toBeUndefined()
  })
})
