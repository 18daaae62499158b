/**
 * Supervised workers, senses, durable workflows and their log, as Effect services.
 */
export * as Channel from "./ipc/Channel.ts"
export * as CommandWorker from "./supervision/CommandWorker.ts"
export * as ContainerWorker from "./supervision/ContainerWorker.ts"
export * as EffectWorker from "./supervision/EffectWorker.ts"
export * as Lifecycle from "./supervision/Lifecycle.ts"
export * as LogStore from "./log/LogStore.ts"
export * as LogStoreMemory from "./log/LogStoreMemory.ts"
export * as PoolError from "./supervision/PoolError.ts"
export * as ProcessWorker from "./supervision/ProcessWorker.ts"
export * as Spawner from "./supervision/Spawner.ts"
export * as Supervisor from "./supervision/Supervisor.ts"
export * as Worker from "./ipc/Worker.ts"
export * as WorkerError from "./supervision/WorkerError.ts"
export * as WorkerPool from "./supervision/WorkerPool.ts"
export * as WorkerRuntime from "./supervision/WorkerRuntime.ts"
export * as WorkerSpec from "./supervision/WorkerSpec.ts"
