/**
 * The services that adapters and Effect roles find in a worker: an HTTP client and a spawner of
 * commands. Loaded with the first role that runs; starting a worker does not pay for it.
 */
import * as NodeChildProcessSpawner from "@effect/platform-node-shared/NodeChildProcessSpawner"
import * as NodeFileSystem from "@effect/platform-node-shared/NodeFileSystem"
import * as NodePath from "@effect/platform-node-shared/NodePath"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import type { HttpClient } from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"

export const layer: Layer.Layer<HttpClient | ChildProcessSpawner> = Layer.mergeAll(
  FetchHttpClient.layer,
  NodeChildProcessSpawner.layer.pipe(Layer.provide([NodeFileSystem.layer, NodePath.layer]))
)
