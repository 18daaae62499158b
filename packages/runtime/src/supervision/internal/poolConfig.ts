/**
 * Settings of a pool from the environment: `PREFIX_SIZE` and so on, read by Effect's Config. What is
 * not set stays away, so that the result can be spread over what the code says.
 */
import * as DurationText from "@nerve/core/config/DurationText"
import * as ByteSize from "effect/ByteSize"
import * as Config from "effect/Config"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { ConfiguredSettings } from "../WorkerPool.ts"

const Count = (least: number) => Schema.Int.check(Schema.isGreaterThanOrEqualTo(least))

const sizeOf = (text: string): ConfiguredSettings["size"] | undefined => {
  const match = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(text)
  if (match === null) return undefined
  const minimum = Number(match[1])
  const maximum = match[2] === undefined ? minimum : Number(match[2])
  return maximum < Math.max(1, minimum) ? undefined : minimum === maximum ? minimum : { minimum, maximum }
}

const Size = Schema.String.check(
  Schema.makeFilter((text) =>
    sizeOf(text) === undefined ? "expected a number of workers, such as 4, or a range, such as 2-8" : undefined
  )
)

const Duration = Schema.String.check(
  Schema.makeFilter((text) =>
    Result.isSuccess(DurationText.parse(text)) ? undefined : `expected ${DurationText.expected}`
  )
)

const duration = (name: string) =>
  Config.map(Config.schema(Duration, name), (text) => Result.getOrThrow(DurationText.parse(text)))

/** The settings that variables whose names begin with `prefix` and `_` override. */
export const make = (prefix: string): Config.Config<ConfiguredSettings> => {
  const name = (setting: string) => `${prefix}_${setting}`
  return Config.map(
    Config.all({
      size: Config.option(Config.map(Config.schema(Size, name("SIZE")), (text) => sizeOf(text) ?? 1)),
      queue: Config.option(Config.schema(Count(0), name("QUEUE"))),
      concurrencyPerWorker: Config.option(Config.schema(Count(1), name("CONCURRENCY"))),
      execTimeout: Config.option(duration(name("EXEC_TIMEOUT"))),
      waitTimeout: Config.option(duration(name("WAIT_TIMEOUT"))),
      cancelTimeout: Config.option(duration(name("CANCEL_TIMEOUT"))),
      bootTimeout: Config.option(duration(name("BOOT_TIMEOUT"))),
      maxJobs: Config.option(Config.schema(Count(0), name("MAX_JOBS"))),
      ttl: Config.option(duration(name("TTL"))),
      growAfter: Config.option(duration(name("GROW_AFTER"))),
      idleTimeout: Config.option(duration(name("IDLE_TIMEOUT"))),
      memoryLimit: Config.option(Config.map(Config.ByteSize(name("MEMORY_LIMIT")), ByteSize.toNumberUnsafe)),
      memoryHardLimit: Config.option(Config.map(Config.ByteSize(name("MEMORY_HARD_LIMIT")), ByteSize.toNumberUnsafe))
    }),
    (found) => {
      const present: Record<string, unknown> = {}
      for (const [name, value] of Object.entries(found)) if (Option.isSome(value)) present[name] = value.value
      // Each name was read by the Config of its own type above.
      return present as ConfiguredSettings
    }
  )
}
