/**
 * What an adapter is: it asks somebody outside for words (W3). The adapters themselves are in the
 * files beside this one.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Usage } from "../../domain/Usage.ts"
import { type Context, RoundListener, type Services } from "../Conversation.ts"

/** What a role asks an adapter. */
export interface Request {
  /** Name of the role that asks. */
  readonly role: string
  readonly prompt: string
  /** The conversation so far. */
  readonly context: Context
}

/** What it answers. `meta` is for adapters that already answer with structure. */
export interface Reply {
  readonly content: string
  readonly meta?: Schema.Json
  /** What the answer took, where the adapter knows it: `Usage.ofCall`. The round adds it up. */
  readonly usage?: Usage
}

/** The adapter got no usable answer. The message starts with the adapter's name and holds no secret. */
export class AdapterFailed extends Schema.TaggedError<AdapterFailed>()("AdapterFailed", {
  adapter: Schema.String,
  message: Schema.String,
  /** Whether asking again may help. */
  retryable: Schema.Boolean,
  cause: Schema.optionalKey(Schema.Defect())
}) {}

/** Somebody outside who can be asked. */
export interface Adapter {
  /** For messages and placeholders: `openai`, `cursor-agent`. */
  readonly name: string
  readonly run: (request: Request) => Effect.Effect<Reply, AdapterFailed, Services>
}

/** An AdapterFailed whose message names the adapter. */
export const adapterFailed = (adapter: string, message: string, retryable = false): AdapterFailed =>
  new AdapterFailed({ adapter, message: `${adapter}: ${message}`, retryable })

/** Defines an adapter of one's own. What a reply says of its usage is counted for the round. */
export const make = (name: string, run: Adapter["run"]): Adapter => ({
  name,
  run: (request) =>
    Effect.tap(run(request), ({ usage }) =>
      usage === undefined ? Effect.void : Effect.map(RoundListener, (round) => round.spent(usage))
    )
})

/**
 * Longest transcript in bytes, unless told. One argument of a command may have 128 KiB on Linux, so
 * that this much still fits with room to spare.
 */
export const TRANSCRIPT_BYTES = 100_000

/**
 * The conversation and the prompt as one text, for agents that take a single prompt. When it would
 * be longer than `maxBytes` the oldest steps are left out, and the text says how many.
 */
export const transcript = (request: Request, options?: { readonly maxBytes?: number }): string => {
  const { context, prompt, role } = request
  const encoder = new TextEncoder()
  const bytes = (text: string) => encoder.encode(text).length
  const head = `# Task\n${context.start.prompt}`
  const foot = `# Your turn as ${role}\n${prompt}`
  let room = (options?.maxBytes ?? TRANSCRIPT_BYTES) - bytes(head) - bytes(foot) - 100
  const steps: Array<string> = []
  for (const step of context.steps.toReversed()) {
    const text = `# ${step.role} said (round ${step.round})\n${step.content}`
    room -= bytes(text) + 2
    if (room < 0) break
    steps.unshift(text)
  }
  const left = context.steps.length - steps.length
  const gap = left === 0 ? [] : [`(${left} earlier ${left === 1 ? "step is" : "steps are"} left out)`]
  return [head, ...gap, ...steps, foot].join("\n\n")
}
