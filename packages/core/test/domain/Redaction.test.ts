/** Secrets are replaced wherever they stand, and nothing else is touched. */
import * as Redaction from "@nerve/core/domain/Redaction"
import { describe, expect, it } from "@effect/vitest"
import { Schema } from "effect"

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

  it.prop("changes nothing where there is no secret", [Schema.Json], ([value]) => {
    expect(Redaction.make([])(value)).toBe(value)
    expect(Redaction.make(["\u0000 never said \u0000"])(value)).toEqual(value)
  })
})
