/**
 * Who plans and reviews, and who writes code. Without settings both are stand-ins that need no network,
 * so that the example runs anywhere; what they say names them.
 */
import { env, execPath } from "node:process"
import { Adapter } from "@nerve/core"

const isSet = (name: string): boolean => (env[name] ?? "") !== ""

/** A model at OPENAI_BASE_URL (or OpenAI's own), or `script` when neither it nor a key is set. */
export const model = (script: (request: Adapter.Request) => string): Adapter.Adapter =>
  isSet("OPENAI_API_KEY") || isSet("OPENAI_BASE_URL")
    ? Adapter.openai({
        baseUrl: env["OPENAI_BASE_URL"] ?? "https://api.openai.com/v1",
        model: env["OPENAI_MODEL"] ?? "gpt-4o-mini",
        ...(env["OPENAI_API_KEY"] === undefined ? { apiKey: null } : {})
      })
    : Adapter.scripted((request) => `(stand-in for a model) ${script(request)}`)

/**
 * A coding agent that works in `cwd` and reads its task from stdin: the command in CODER_COMMAND (words
 * divided by blanks), or the stand-in in `agents/`.
 */
export const codingAgent = (workspace: string, cwd: string): Adapter.Adapter => {
  const [command = execPath, ...args] = isSet("CODER_COMMAND")
    ? (env["CODER_COMMAND"] ?? "").trim().split(/\s+/)
    : [execPath, `${workspace}/agents/stand-in-coder.mjs`]
  return Adapter.command({ command, args, cwd, stdin: "transcript", timeout: "10 minutes" })
}
