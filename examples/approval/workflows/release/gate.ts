/**
 * The question that a person answers. A yes has to say in which channel the release is published.
 */
import { Role } from "@nerve/core"
import { Schema } from "effect"

const Answer = Schema.Struct({ channel: Schema.Literals(["stable", "beta"]) })

export const gate = Role.approval({
  question: ({ start }) => `Publish "${start.prompt}"? Say in which channel.`,
  answer: Answer,
  timeout: "2 days"
})

const Verdict = Role.decision(Answer)

/** What was decided; undefined when nobody was asked yet. */
export const verdict = (context: Role.Context) => Role.lastMeta(context, "gate", Verdict)
