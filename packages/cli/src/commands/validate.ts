/**
 * `nerve validate`: checks nerve.yaml and says all that is wrong with it.
 */
import * as WorkspaceConfig from "@nerve/node/daemon/WorkspaceConfig"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Global from "../flags/Global.ts"
import { Failed } from "../output/Failed.ts"
import * as Output from "../output/Output.ts"
import { count } from "../render/Text.ts"

export const validate = Command.make("validate", {}, () =>
  Effect.gen(function* () {
    const workspace = yield* Global.workspace
    const json = yield* Global.JsonFlag
    const checked = yield* WorkspaceConfig.check(workspace)
    if (checked._tag === "Invalid") {
      const { file, omitted, problems } = checked.error
      if (json) yield* Output.json({ valid: false, file, problems, omitted })
      return yield* new Failed({ message: json ? "" : checked.text })
    }
    const { senses, workflows } = checked.config
    if (json) return yield* Output.json({ valid: true, file: "nerve.yaml", problems: [], omitted: 0 })
    return yield* Output.text(
      `nerve.yaml is valid: ${count(senses.length, "sense")}, ${count(workflows.length, "workflow")}`
    )
  })
).pipe(Command.withDescription("Check nerve.yaml: every problem with line and column (exit code 1 if there are any)"))
