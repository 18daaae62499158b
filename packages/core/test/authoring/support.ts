/**
 * What the tests of this folder share: a conversation, the services of a worker on this machine, and
 * an HTTP server on loopback.
 */
import { RoundListener } from "@nerve/core/authoring/Conversation"
import type { Usage } from "@nerve/core/domain/Usage"
import type { AgentConfig } from "@nerve/core/config/NerveConfig"
import { ThreadId, WorkflowName } from "@nerve/core/domain/Ids"
import * as Role from "@nerve/core/authoring/Role"
import * as NodeChildProcessSpawner from "@effect/platform-node-shared/NodeChildProcessSpawner"
import * as NodeFileSystem from "@effect/platform-node-shared/NodeFileSystem"
import * as NodePath from "@effect/platform-node-shared/NodePath"
import { Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"

/** A conversation: each step is the role's name and what it said. */
export const conversation = (
  steps: ReadonlyArray<readonly [role: string, content: string]> = [],
  start: { readonly prompt?: string; readonly dryRun?: boolean } = {}
): Role.Context => ({
  threadId: "t1",
  start: {
    threadId: ThreadId.make("t1"),
    workflow: WorkflowName.make("w"),
    prompt: start.prompt ?? "look after it",
    maxRounds: 20,
    dryRun: start.dryRun ?? false
  },
  steps: steps.map(([role, content], index) => ({ round: index + 1, role, content, meta: null, timestamp: index }))
})

/** What a worker provides, on this machine. */
export const services = (
  options: {
    readonly workspace?: string
    readonly agents?: ReadonlyArray<AgentConfig>
    readonly extract?: { readonly provider: string; readonly model: string }
  } = {}
) =>
  Layer.mergeAll(
    FetchHttpClient.layer,
    NodeChildProcessSpawner.layer.pipe(Layer.provide([NodeFileSystem.layer, NodePath.layer])),
    Layer.succeed(Role.Info, {
      workflow: "w",
      workspace: options.workspace ?? process.cwd(),
      agents: options.agents ?? [],
      extract: options.extract ?? null
    })
  )

export interface Received {
  readonly url: string
  readonly headers: Http.IncomingHttpHeaders
  readonly body: unknown
}

/** An HTTP server on loopback for as long as the scope lives. `answer` gets the number of the request, from 1. */
export const server = (answer: (nth: number, response: Http.ServerResponse, received: Received) => void) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly received: Array<Received>; readonly server: Http.Server }>(
      (resume) => {
        const received: Array<Received> = []
        const server = Http.createServer((request, response) => {
          const chunks: Array<Buffer> = []
          request.on("data", (chunk: Buffer) => chunks.push(chunk))
          request.on("end", () => {
            const one = {
              url: request.url ?? "",
              headers: request.headers,
              body: JSON.parse(Buffer.concat(chunks).toString("utf8")) as unknown
            }
            received.push(one)
            answer(received.length, response, one)
          })
        })
        server.listen(0, "127.0.0.1", () => {
          const { port } = server.address() as AddressInfo
          resume(Effect.succeed({ url: `http://127.0.0.1:${port}/v1`, received, server }))
        })
      }
    ),
    ({ server }) =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )

/** Sends JSON. */
export const send = (
  response: Http.ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {}
): void => {
  response.writeHead(status, { "content-type": "application/json", ...headers })
  response.end(typeof body === "string" ? body : JSON.stringify(body))
}

/** A chat completion that says this. */
export const completion = (content: string | null) => ({
  id: "c1",
  object: "chat.completion",
  choices: [{ index: 0, finish_reason: "stop", message: { role: "assistant", content } }]
})

/** The data of a stream that says a text in pieces, and at its end what it took. */
export const pieces = (...all: ReadonlyArray<string | Readonly<Record<string, number>>>): ReadonlyArray<string> => [
  ...all.map((one) =>
    JSON.stringify(
      typeof one === "string"
        ? { choices: [{ index: 0, delta: { content: one }, finish_reason: null }] }
        : { choices: [], usage: one }
    )
  ),
  "[DONE]"
]

/** Sends a stream of events and ends it. */
export const sendEvents = (response: Http.ServerResponse, all: ReadonlyArray<string>): void => {
  response.writeHead(200, { "content-type": "text/event-stream" })
  for (const data of all) response.write(`data: ${data}\n\n`)
  response.end()
}

/** Hears what a round tells while it runs. */
export const listener = () => {
  const texts: Array<string> = []
  const usages: Array<Usage> = []
  return {
    texts,
    usages,
    provide: Effect.provideService(RoundListener, {
      heard: (text) => void texts.push(text),
      spent: (usage) => void usages.push(usage)
    })
  }
}
