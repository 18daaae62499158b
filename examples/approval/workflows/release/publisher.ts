/**
 * Publishes: writes a file named after the thread, so that a round that is run again writes the same one.
 */
import { Role } from "@nerve/core"
import { mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { verdict } from "./gate.ts"

export const publisher = Role.make(async (context, { workspace }) => {
  const decided = verdict(context)
  const folder = join(workspace, "data/releases")
  await mkdir(folder, { recursive: true })
  const channel = decided?.answer?.channel ?? "beta"
  const text = `${context.start.prompt}\nchannel: ${channel}\napproved by: ${decided?.by ?? "nobody"}\n`
  await writeFile(join(folder, `${context.threadId}.txt`), text)
  return { content: `Published in ${channel}`, meta: { channel } }
})
