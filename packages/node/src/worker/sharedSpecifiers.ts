/**
 * The modules that a bundled worker entry carries and hands on to user code. The list is what senses, roles and
 * workers commonly use; what is not here is loaded from the user's own node_modules, at the price that it has there.
 *
 * Each is a file of the bundle (`scripts/build.ts`), loaded when it is first asked for: all of them together would
 * cost every worker 30 ms and 3 MB.
 */

/** By specifier. */
export const specifiers: ReadonlyArray<string> = [
  "@nerve/core",
  "@nerve/core/authoring/Adapter",
  "@nerve/core/authoring/Role",
  "@nerve/core/authoring/Sense",
  "@nerve/core/authoring/Workflow",
  "@nerve/runtime/ipc/Worker",
  "effect/Array",
  "effect/Cause",
  "effect/Clock",
  "effect/Config",
  "effect/Console",
  "effect/Context",
  "effect/Data",
  "effect/DateTime",
  "effect/Deferred",
  "effect/Duration",
  "effect/Effect",
  "effect/Exit",
  "effect/Fiber",
  "effect/Function",
  "effect/Layer",
  "effect/Logger",
  "effect/Match",
  "effect/Option",
  "effect/Order",
  "effect/Predicate",
  "effect/Queue",
  "effect/Random",
  "effect/Record",
  "effect/Redacted",
  "effect/Ref",
  "effect/Result",
  "effect/rpc/Rpc",
  "effect/rpc/RpcGroup",
  "effect/rpc/RpcSchema",
  "effect/Schedule",
  "effect/Schema",
  "effect/Scope",
  "effect/sql/SqlClient",
  "effect/sql/SqlError",
  "effect/Stream",
  "effect/String",
  "effect/Struct"
]

/** What nearly every worker asks for, besides what it needs to serve calls: one file of the bundle with that. */
export const hotSpecifiers: ReadonlyArray<string> = ["effect/rpc/Rpc", "effect/rpc/RpcGroup", "effect/Layer"]

/** What the module of a worker imports as a rule: a spare has it loaded before it is told which module that is. */
export const usual: ReadonlyArray<string> = [
  "@nerve/runtime/ipc/Worker",
  "effect/Effect",
  "effect/rpc/Rpc",
  "effect/rpc/RpcGroup",
  "effect/Schema",
  "effect/Stream"
]

/** The bundle's file of a specifier, without its extension. */
export const fileName = (specifier: string): string => `shared.${specifier.replaceAll("/", ".")}`

/** What a barrel gives for whom: its members that are shared, as specifiers by name. */
const membersOf = (barrel: string, folder: string = barrel): Readonly<Record<string, string>> => {
  const members: Record<string, string> = {}
  for (const specifier of specifiers) {
    const name = specifier.slice(folder.length + 1)
    if (specifier.startsWith(`${folder}/`) && !name.includes("/")) members[name] = specifier
  }
  return members
}

/** Barrels, of which only what a file takes is loaded. */
export const barrels: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "@nerve/core": membersOf("@nerve/core", "@nerve/core/authoring"),
  "@nerve/runtime": membersOf("@nerve/runtime", "@nerve/runtime/ipc"),
  effect: membersOf("effect"),
  "effect/rpc": membersOf("effect/rpc"),
  "effect/sql": membersOf("effect/sql")
}
