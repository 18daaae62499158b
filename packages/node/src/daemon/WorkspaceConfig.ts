/**
 * Reads and checks a workspace's nerve.yaml. The parser is loaded when it is needed: most commands
 * never look at the file.
 */
import * as ConfigProblem from "@nerve/core/config/ConfigProblem"
import type { NerveConfig } from "@nerve/core/config/NerveConfig"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { readFile } from "node:fs/promises"
import type { Workspace } from "./Workspace.ts"

/** nerve.yaml is there but cannot be read. */
export class ConfigUnreadable extends Schema.TaggedError<ConfigUnreadable>()("ConfigUnreadable", {
  file: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `cannot read ${this.file}: ${this.detail}`
  }
}

export type Checked =
  | { readonly _tag: "Valid"; readonly config: NerveConfig }
  /** `text`: all problems for a person, with their source lines. */
  | { readonly _tag: "Invalid"; readonly error: ConfigProblem.ConfigInvalid; readonly text: string }

/** File names in messages are relative to the workspace. */
const file = "nerve.yaml"

/** What nerve.yaml says, or what is wrong with it. */
export const check = Effect.fn("WorkspaceConfig.check")(function* (
  workspace: Workspace
): Effect.fn.Return<Checked, ConfigUnreadable> {
  const text = yield* Effect.tryPromise({
    try: () => readFile(workspace.configFile, "utf8"),
    catch: (error) =>
      new ConfigUnreadable({
        file: workspace.configFile,
        detail: error instanceof Error ? error.message : String(error)
      })
  })
  const ConfigParser = yield* Effect.promise(() => import("@nerve/core/config/ConfigParser"))
  return Result.match(ConfigParser.parse(text, { file }), {
    onSuccess: (config): Checked => ({ _tag: "Valid", config }),
    onFailure: (error): Checked => ({
      _tag: "Invalid",
      error,
      text: ConfigProblem.format(error.problems, text, file, error.omitted)
    })
  })
})
