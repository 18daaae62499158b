/** What goes to a sense worker at its start, and what its answers mean. Pure. */
import type { Problem } from "@nerve/core/domain/Problem"
import { type SenseBoot, type SenseInit, SenseWorkerInit, SenseWorkerReady } from "@nerve/core/wire/SenseRpcs"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { WorkerSpec } from "../../supervision/WorkerSpec.ts"
import type { SenseWorkers } from "../SenseWorkers.ts"
import type { Sense } from "./senseState.ts"

const encodeInit = Schema.encodeSync(SenseWorkerInit)

/** What a worker is told of a sense. */
export const initOf = ({
  config: { name, params, timeoutMs },
  version
}: Pick<Sense, "config" | "version">): SenseInit => ({
  name,
  timeoutMs,
  ...(params === undefined ? {} : { params }),
  ...(version === undefined ? {} : { version })
})

/** How a group's worker is started. */
export const specOf = (ports: SenseWorkers["Service"], init: SenseWorkerInit): WorkerSpec => {
  const spec = ports.spec(init)
  return { ...spec, options: { ...spec.options, init: encodeInit(init) } }
}

const decodeReady = Schema.decodeUnknownOption(SenseWorkerReady)

/** What a worker that reports ready says about its senses. */
export const listedIn = (info: Schema.Json): ReadonlyArray<SenseBoot> =>
  Option.match(decodeReady(info), { onNone: () => [], onSome: ({ senses }) => senses })

/** A report that makes no sense is a problem of all. */
export const unlisted = (sense: Sense): Problem => ({
  code: "worker-report-invalid",
  message: `the worker of group ${sense.group.name} reported ready without a word about sense ${sense.config.name}`,
  file: null,
  hint: "Is the worker of another version than the daemon? Restart the daemon."
})

/** What a boot that came to no answer is reported as; null: its worker died under it. */
export const unbootable = ({ config: { name } }: Sense, why: string | null): Problem => ({
  code: "boot-failed",
  message: `the sense ${name} did not start: ${why ?? "its worker died while its module was loaded, or was stuck in it"}`,
  file: null,
  hint: "Its group goes on without it. It is tried again when its files change."
})
