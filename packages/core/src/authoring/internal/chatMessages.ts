/**
 * The conversation as the messages of a chat: the asking role's own steps are the assistant's, all
 * others the user's; the role's prompt comes last. Neighbours of one role are joined, because some
 * endpoints insist that user and assistant take turns. Pure.
 */
import type { Request } from "../adapter/Contract.ts"

export interface ChatMessage {
  readonly role: "system" | "user" | "assistant"
  readonly content: string
}

export const chatMessages = (request: Request, system: string | undefined): ReadonlyArray<ChatMessage> => {
  const messages: Array<ChatMessage> = []
  const say = (role: ChatMessage["role"], content: string) => {
    const before = messages.at(-1)
    if (before?.role !== role) return void messages.push({ role, content })
    messages[messages.length - 1] = { role, content: `${before.content}\n\n${content}` }
  }
  if (system !== undefined) say("system", system)
  say("user", request.context.start.prompt)
  for (const step of request.context.steps) {
    if (step.role === request.role) say("assistant", step.content)
    else say("user", `[${step.role}]\n${step.content}`)
  }
  say("user", request.prompt)
  return messages
}
