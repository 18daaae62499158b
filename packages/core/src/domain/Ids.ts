/**
 * The names by which nerve knows its things. All are branded strings, so that a thread id cannot be
 * passed where a sense name is expected.
 */
import * as Schema from "effect/Schema"

/**
 * A name that is safe as a file name, a YAML key and a command-line word: it starts with a letter or
 * digit and goes on with letters, digits, `-`, `_` or `.`, 64 characters at most.
 */
const Name = Schema.String.check(
  Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, {
    expected: "a name of letters, digits, '-', '_' or '.', at most 64 characters, starting with a letter or digit"
  })
)

/** Name of a sense, as in `nerve.yaml` under `senses`. */
export const SenseName = Name.pipe(Schema.brand("SenseName"))
export type SenseName = typeof SenseName.Type

/** Name of a sense group: the senses of one group share a worker process. */
export const GroupName = Name.pipe(Schema.brand("GroupName"))
export type GroupName = typeof GroupName.Type

/** Name of a workflow, as in `nerve.yaml` under `workflows`. */
export const WorkflowName = Name.pipe(Schema.brand("WorkflowName"))
export type WorkflowName = typeof WorkflowName.Type

/** Id of a thread (one run of a workflow): sortable by start time, unique within a workspace. */
export const ThreadId = Schema.NonEmptyString.pipe(Schema.brand("ThreadId"))
export type ThreadId = typeof ThreadId.Type

/** Name of a role within its workflow. */
export const RoleName = Schema.NonEmptyString
export type RoleName = typeof RoleName.Type
