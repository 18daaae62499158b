/**
 * The flags that every command takes, anywhere on the line.
 */
import * as Workspace from "@nerve/node/daemon/Workspace"
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Effect from "effect/Effect"

/** A folder in the workspace; the current one unless told. */
export const WorkspaceFlag = GlobalFlag.Setting("workspace")({
  flag: Flag.String("workspace").pipe(
    Flag.withAlias("C"),
    Flag.withMetavar("DIR"),
    Flag.withDescription("Work in the workspace of this folder instead of the current one"),
    Flag.withDefault(".")
  )
})

export const JsonFlag = GlobalFlag.Setting("json")({
  flag: Flag.Boolean("json").pipe(
    Flag.withDescription("Print JSON: one document, or one per line for streams"),
    Flag.withDefault(false)
  )
})

/** Read in `main`, before anything can fail; declared here so that it is known and in the help. */
export const DebugFlag = GlobalFlag.Setting("debug")({
  flag: Flag.Boolean("debug").pipe(
    Flag.withDescription("Show stack traces and debug logs on stderr"),
    Flag.withDefault(false)
  )
})

export const all = [WorkspaceFlag, JsonFlag, DebugFlag] as const

/** The workspace that the command is about. */
export const workspace = Effect.flatMap(WorkspaceFlag, Workspace.find)
