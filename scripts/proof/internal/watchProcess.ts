/**
 * How much more memory this process has resident than at first, at most, and how long its event loop was held up:
 * by the clock, and by the processor time that its thread took between two looks. On a machine that is busy with other
 * things only the second says something about this process; a look comes every 10 ms, so it counts these in.
 */
import { Effect } from "effect"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { availableParallelism, loadavg } from "node:os"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

const everyMs = 10

/** Collects all garbage. */
const collect: () => void = (() => {
  setFlagsFromString("--expose-gc")
  return runInNewContext("gc") as () => void
})()

/** How many want to run, of late. */
const load = (): number => loadavg()[0] ?? 0

/** Whether more wants to run than there are cores, so that times by the clock say little about this process. */
const isBusy = (): boolean => load() > availableParallelism()

/** Counts from now until the scope closes. */
export const watchProcess = Effect.gen(function* () {
  // With the garbage of the load that it was under: that V8 has room for it is no news.
  const before = process.memoryUsage.rss()
  collect()
  const heapBefore = process.memoryUsage()
  let most = before
  let wasBusy = isBusy()
  const delay = monitorEventLoopDelay({ resolution: 10 })
  delay.enable()
  let worst = 0
  let worstCpu = 0
  let cpu = process.threadCpuUsage()
  const look = () => {
    const { system, user } = process.threadCpuUsage(cpu)
    cpu = process.threadCpuUsage()
    worstCpu = Math.max(worstCpu, Math.round((user + system) / 1000))
    most = Math.max(most, process.memoryUsage.rss())
  }
  const timer = setInterval(look, everyMs)
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      clearInterval(timer)
      delay.disable()
    })
  )
  const figures = () => {
    look()
    wasBusy ||= isBusy()
    return {
      /** Bytes resident, at most. */
      memory: most - before,
      // The monitor counts its own 10 ms in.
      loopDelayMs: Math.max(worst, Math.round(Math.max(0, delay.max / 1e6 - 10))),
      turnCpuMs: worstCpu,
      /** The load of the machine now; `machineBusy` when it was above the number of cores at any look. */
      load: load(),
      machineBusy: wasBusy
    }
  }
  return {
    figures,
    /** Bytes that are there once all garbage is collected: what is kept. */
    kept: () => {
      collect()
      const now = process.memoryUsage()
      return now.heapUsed + now.external - heapBefore.heapUsed - heapBefore.external
    },
    /** How long the loop was held up since the last time this was asked. */
    lap: () => {
      const held = Math.round(Math.max(0, delay.max / 1e6 - 10))
      worst = Math.max(worst, held)
      delay.reset()
      return held
    },
    told: () => `${Math.round(figures().memory / 2 ** 20)} MiB more, loop held up ${figures().loopDelayMs} ms at most`
  }
})
