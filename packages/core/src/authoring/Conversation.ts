/**
 * What a role and an adapter know about where they are: the conversation so far, what an answer is,
 * and the workspace around them. Owned by nobody, read by both.
 */
import * as Context_ from "effect/Context"
import type { HttpClient } from "effect/http/HttpClient"
import type { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { AgentConfig } from "../config/NerveConfig.ts"
import type { ThreadMessage, ThreadStart } from "../domain/Thread.ts"
import type { Usage } from "../domain/Usage.ts"

/** The conversation so far (W1). `start` carries the prompt, `maxRounds` and the thread's id. */
export interface Context {
  readonly threadId: string
  readonly start: ThreadStart
  readonly steps: ReadonlyArray<ThreadMessage>
}

/** What a role answers: text for the next speakers, and meta (JSON) for the moderator and code. */
export interface Answer {
  readonly content: string
  readonly meta?: Schema.Json
}

/** Where a role runs: the workspace, and `agents` and `extract` of nerve.yaml. */
export class Info extends Context_.Service<
  Info,
  {
    readonly workflow: string
    /** Absolute path. */
    readonly workspace: string
    readonly agents: ReadonlyArray<AgentConfig>
    readonly extract: { readonly provider: string; readonly model: string } | null
  }
>()("@nerve/core/authoring/Conversation/Info") {}

/** How the host of a round listens. */
export interface RoundHearing {
  readonly spent: (usage: Usage) => void
  readonly heard: (text: string) => void
}

/**
 * What the host of a round hears while the round runs: what asking models took, and a model's words as
 * they come. Nobody listens unless told.
 *
 * The same Usage object counts once, so that an adapter made of others may pass theirs on.
 */
export const RoundListener: Context_.Reference<RoundHearing> = Context_.Reference(
  "@nerve/core/authoring/Conversation/RoundListener",
  {
    defaultValue: (): RoundHearing => ({ spent: () => undefined, heard: () => undefined })
  }
)

/** What a worker provides to adapters and to Effect roles. */
export type Services = HttpClient | ChildProcessSpawner | Info

/** The last message of a role, or of anybody; undefined when there is none. Pure. */
export const last = (context: Context, role?: string): ThreadMessage | undefined =>
  context.steps.findLast((step) => role === undefined || step.role === role)

/**
 * The meta of a role's last message, decoded. Undefined when the role has not spoken, and when its
 * meta does not fit the Schema (a placeholder of a dry run, say). Pure: fit for a moderator.
 */
export const lastMeta = <A, I>(context: Context, role: string, meta: Schema.Codec<A, I>): A | undefined => {
  const message = last(context, role)
  if (message === undefined) return undefined
  return Option.getOrUndefined(Schema.decodeOption(Schema.toCodecJson(meta))(message.meta))
}
