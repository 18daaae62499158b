/**
 * The adapter that nerve.yaml names: `agents.<name>{type, model, timeout}`. Which agent a role asks
 * is then a matter of configuration, not of code.
 */
import * as Effect from "effect/Effect"
import type { AgentConfig } from "../../config/NerveConfig.ts"
import { Info } from "../Conversation.ts"
import { makeCursorAgent, makeHermes } from "./CommandLine.ts"
import { type Adapter, adapterFailed } from "./Contract.ts"
import { openai } from "./OpenAi.ts"
import { echo } from "./Scripted.ts"

/** The adapter for one `agents` entry; undefined for a type that needs more than the entry says. */
const adapterOf = (agent: AgentConfig): Adapter | undefined => {
  const options = {
    ...(agent.model === null ? {} : { model: agent.model }),
    ...(agent.timeoutMs === null ? {} : { timeout: agent.timeoutMs })
  }
  switch (agent.type) {
    case "openai":
      return openai(options)
    case "cursor-agent":
      return makeCursorAgent(options)
    case "hermes":
      return makeHermes(options)
    case "scripted":
      return echo
    default:
      return undefined
  }
}

/**
 * The adapter of `extract{provider, model}` of nerve.yaml. The provider is the name of an agent, or
 * the type of one; undefined when it is neither.
 */
export const extractor = (
  extract: { readonly provider: string; readonly model: string },
  agents: ReadonlyArray<AgentConfig>
): Adapter | undefined => {
  const agent = agents.find((entry) => entry.name === extract.provider)
  return adapterOf({ name: extract.provider, type: extract.provider, timeoutMs: null, ...agent, model: extract.model })
}

/**
 * Refers to `agents.<name>` of nerve.yaml. Types: `openai`, `cursor-agent`, `hermes`, and `scripted`
 * (repeats the prompt). A missing name, or a type that only code can set up (`command`), is
 * AdapterFailed when the role runs.
 */
export const agent = (name: string): Adapter => ({
  name: `agent ${name}`,
  run: (request) =>
    Effect.gen(function* () {
      const { agents } = yield* Info
      const config = agents.find((entry) => entry.name === name)
      if (config === undefined) {
        const known = agents.map((entry) => entry.name).join(", ")
        return yield* adapterFailed(
          `agent ${name}`,
          `nerve.yaml has no agents.${name}${known === "" ? "" : `; it has: ${known}`}`
        )
      }
      const adapter = adapterOf(config)
      if (adapter === undefined) {
        return yield* adapterFailed(
          `agent ${name}`,
          `agents.${name} of nerve.yaml has the type ${config.type}, which only code can set up: use Adapter.command`
        )
      }
      return yield* adapter.run(request)
    })
})
