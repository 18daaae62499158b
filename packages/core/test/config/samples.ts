/**
 * An ordinary sense, for tests that are about one of its settings.
 */
import type { SenseConfig } from "@nerve/core/config/NerveConfig"
import { GroupName, SenseName } from "@nerve/core/domain/Ids"

/** In group `main`, triggered only, 30 s + 5 s, unless told. */
export const sense = (
  name: string,
  options: Partial<Omit<SenseConfig, "name" | "group" | "on">> & {
    readonly group?: string
    readonly on?: ReadonlyArray<string>
  } = {}
): SenseConfig => ({
  intervalMs: null,
  cron: null,
  catchUp: "once",
  throttleMs: null,
  timeoutMs: 30_000,
  gracePeriodMs: 5_000,
  ...options,
  name: SenseName.make(name),
  group: GroupName.make(options.group ?? "main"),
  on: (options.on ?? []).map((other) => SenseName.make(other))
})
