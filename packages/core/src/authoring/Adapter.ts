/**
 * An adapter asks somebody outside for words: an OpenAI-compatible endpoint, a command-line agent, a
 * script (W3). Each comes as a default and as a factory:
 *
 * | asks | default | factory |
 * | --- | --- | --- |
 * | an OpenAI-compatible endpoint | `openaiFromEnv` | `openai({ … })` |
 * | a model of `effect/ai` | – | `languageModel({ … })` |
 * | Cursor's agent | `cursorAgent` | `makeCursorAgent({ … })` |
 * | the hermes agent | `hermes` | `makeHermes({ … })` |
 * | any other command | – | `command({ … })` |
 * | nobody | `echo` | `scripted([ … ])` |
 * | what nerve.yaml says | – | `agent(name)` |
 */
export { agent } from "./adapter/Agent.ts"
export {
  type AgentCommandOptions,
  command,
  type CommandOptions,
  cursorAgent,
  hermes,
  makeCursorAgent,
  makeHermes
} from "./adapter/CommandLine.ts"
export {
  type Adapter,
  AdapterFailed,
  adapterFailed as failed,
  make,
  type Reply,
  type Request,
  transcript
} from "./adapter/Contract.ts"
export { languageModel, type LanguageModelOptions } from "./adapter/LanguageModel.ts"
export { openai, openaiFromEnv, type OpenAiOptions } from "./adapter/OpenAi.ts"
export { echo, scripted } from "./adapter/Scripted.ts"
export { type Price, type Usage, ofCall as usage } from "../domain/Usage.ts"
export type { Services } from "./Conversation.ts"
