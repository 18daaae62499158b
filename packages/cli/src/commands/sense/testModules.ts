/**
 * What `nerve sense test` needs and no other command: loaded when it is asked for.
 */
export { commitCompute } from "@nerve/node/sense/commitCompute"
export * as SenseTrial from "@nerve/node/sense/SenseTrial"
export * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
export { byDaemon } from "./testByDaemon.ts"
