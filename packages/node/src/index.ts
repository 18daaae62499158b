/**
 * nerve on Node: the Spawner that starts real processes, and the daemon of a workspace.
 */
export * as Daemon from "./daemon/Daemon.ts"
export * as DaemonLock from "./daemon/DaemonLock.ts"
export * as LogStoreSqlite from "./sqlite/LogStoreSqlite.ts"
export * as NodeSpawner from "./supervision/NodeSpawner.ts"
export * as ProcessMemory from "./supervision/ProcessMemory.ts"
export * as SenseTest from "./sense/SenseTest.ts"
export * as ThreadWorker from "./supervision/ThreadWorker.ts"
export * as WorkerBundle from "./worker/WorkerBundle.ts"
export * as Workspace from "./daemon/Workspace.ts"
