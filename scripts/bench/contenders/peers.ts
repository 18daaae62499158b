/** The pools that people use today, each in the modes that it has. Untyped, and none keeps order or respawns by policy. */
import { Worker as JestWorker } from "jest-worker"
import { Piscina } from "piscina"
import { DynamicThreadPool, FixedClusterPool } from "poolifier"
import { Tinypool } from "tinypool"
import workerpool from "workerpool"
import type { Contender } from "../Contender.ts"
import { program } from "../program.ts"

const piscina: Contender = {
  name: "piscina",
  mode: "thread",
  open: async (workers) => {
    const pool = new Piscina({
      filename: program("echo.function.mjs"),
      minThreads: workers,
      maxThreads: workers,
      concurrentTasksPerWorker: 64
    })
    await pool.run({ text: "ready?" })
    return { call: (_kind, message) => pool.run(message), close: () => pool.destroy() }
  }
}

const tiny = (runtime: "child_process" | "worker_threads"): Contender => ({
  name: "tinypool",
  mode: runtime === "child_process" ? "process" : "thread",
  open: async (workers) => {
    const pool = new Tinypool({
      filename: program("echo.function.mjs"),
      runtime,
      minThreads: workers,
      maxThreads: workers,
      concurrentTasksPerWorker: 64
    })
    await pool.run({ text: "ready?" })
    return { call: (_kind, message) => pool.run(message), close: () => pool.destroy() }
  }
})

const workerPool = (workerType: "process" | "thread"): Contender => ({
  name: "workerpool",
  mode: workerType,
  open: async (workers) => {
    const pool = workerpool.pool(program("echo.workerpool.mjs"), {
      minWorkers: workers,
      maxWorkers: workers,
      workerType
    })
    await pool.exec("echo", [{ text: "ready?" }])
    return {
      call: async (_kind, message) => pool.exec("echo", [message]),
      close: async () => void (await pool.terminate(true))
    }
  }
})

const poolifierCluster: Contender = {
  name: "poolifier",
  mode: "process",
  open: async (workers) => {
    const pool = new FixedClusterPool(workers, program("echo.poolifierCluster.mjs"))
    await pool.execute({ text: "ready?" })
    return { call: (_kind, message) => pool.execute(message), close: () => pool.destroy() }
  }
}

const poolifierThread: Contender = {
  name: "poolifier",
  mode: "thread",
  open: async (workers) => {
    const pool = new DynamicThreadPool(workers, workers + 1, program("echo.poolifierThread.mjs"))
    await pool.execute({ text: "ready?" })
    return { call: (_kind, message) => pool.execute(message), close: () => pool.destroy() }
  }
}

interface Echoing {
  readonly echo: (message: unknown) => Promise<unknown>
}

const jest = (enableWorkerThreads: boolean): Contender => ({
  name: "jest-worker",
  mode: enableWorkerThreads ? "thread" : "process",
  open: async (workers) => {
    const pool = new JestWorker(program("echo.function.mjs"), {
      numWorkers: workers,
      enableWorkerThreads,
      exposedMethods: ["echo"]
    }) as JestWorker & Echoing
    await pool.echo({ text: "ready?" })
    return { call: (_kind, message) => pool.echo(message), close: async () => void (await pool.end()) }
  }
})

export const peers: ReadonlyArray<Contender> = [
  tiny("child_process"),
  workerPool("process"),
  poolifierCluster,
  jest(false),
  piscina,
  tiny("worker_threads"),
  workerPool("thread"),
  poolifierThread,
  jest(true)
]
