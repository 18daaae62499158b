/** Secrets are replaced wherever they stand, and nothing else is touched. */
import * as Redaction from "@nerve/core/domain/Redaction"
import { describe, expect, it } from "@effect/vitest"
import { Schema } from "effect"
import * as fc from "fast-check"

describe("Redaction", () => {
  it("takes for secret what a name says and a length allows", () => {
    const secrets = Redaction.secretsOf([
      ["OPENAI_API_KEY", "sk-0123456789"],
      ["GITHUB_TOKEN", "ghp_abcdefgh"],
      ["DB_PASSWORD", "hunter2"],
      ["OPENAI_MODEL", "a-large-model"],
      ["KEYBOARD", "qwertyuiop"],
      ["SSH_KEY", undefined]
    ])
    expect(secrets).toEqual(["sk-0123456789", "ghp_abcdefgh"])
  })

  it("replaces in texts, in the middle of texts, and in keys, the longest first", () => {
    const redact = Redaction.make(["secret-one", "secret-one-and-more"])
    expect(redact({ "secret-one": ["say secret-one-and-more twice: secret-one", 1, null] })).toEqual({
      "<redacted>": ["say <redacted> twice: <redacted>", 1, null]
    })
  })

  it.prop("leaves none behind", [Schema.Json, Schema.String.check(Schema.isMinLength(8))], ([value, secret]) => {
    const text = JSON.stringify(Redaction.make([secret])({ value, here: `<${secret}>` }))
    // What stands in its place may itself hold a secret such as "redacted".
    if (!Redaction.REDACTED.includes(secret)) expect(text.includes(JSON.stringify(secret).slice(1, -1))).toBe(false)
  })

  it("leaves no part behind where a text was cut, at its end or its beginning", () => {
    const secrets = fc.string({ minLength: 8, maxLength: 40 }).filter((text) => !/[-<>…]/.test(text))
    fc.assert(
      fc.property(secrets, fc.nat(2_100), fc.nat(), (secret, before, some) => {
        const redact = Redaction.make([secret])
        const kept = some % secret.length
        const ends = redact(`${"-".repeat(before)}${secret.slice(0, kept)}…`)
        const begins = redact(`${secret}${"-".repeat(2_048 - kept)}`.slice(-2_048))
        for (const left of [ends, begins]) {
          // What stands in a secret's place may hold a part of it, such as "reda".
          const bare = String(left).replaceAll(Redaction.REDACTED, "")
          for (let from = 0; from + 4 <= secret.length; from++) expect(bare).not.toContain(secret.slice(from, from + 4))
        }
      })
    )
  })

  it.prop("changes nothing where there is no secret", [Schema.Json], ([value]) => {
    expect(Redaction.make([])(value)).toBe(value)
    expect(Redaction.make(["\u0000 never said \u0000"])(value)).toEqual(value)
  })
})
