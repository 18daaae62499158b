/**
 * What authors of senses and workflows import, and the policies of supervision.
 */
export * as Adapter from "./authoring/Adapter.ts"
export * as CircuitBreaker from "./supervision/CircuitBreaker.ts"
export * as Mermaid from "./supervision/Mermaid.ts"
export * as RespawnPolicy from "./supervision/RespawnPolicy.ts"
export * as Role from "./authoring/Role.ts"
export * as Sense from "./authoring/Sense.ts"
export * as StateTree from "./supervision/StateTree.ts"
export * as StopPolicy from "./supervision/StopPolicy.ts"
export * as Workflow from "./authoring/Workflow.ts"
export { createRole } from "./authoring/Role.ts"
