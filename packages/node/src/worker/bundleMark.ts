/**
 * How a bundled worker is told from a module that is loaded as it is: by the first line of its file. Wire format
 * between `WorkerBundle`, which writes it, and the Spawner, which may be of another version of nerve.
 */
import { closeSync, openSync, readSync } from "node:fs"

const pattern = /^\/\/ nerve worker bundle, protocol (\d+)\n/

/** The first line of a bundle that speaks this version of the protocol (`Frame.protocolVersion`). */
export const line = (protocol: number): string => `// nerve worker bundle, protocol ${protocol}`

/** Longer than any mark. */
const bytes = 80

/** The protocol that the bundle in this file speaks; undefined when it is no bundle, or cannot be read. */
export const protocolOf = (file: string): number | undefined => {
  let found: number | undefined
  try {
    found = openSync(file, "r")
    const buffer = Buffer.alloc(bytes)
    const length = readSync(found, buffer, 0, bytes, 0)
    const [, protocol] = pattern.exec(buffer.toString("latin1", 0, length)) ?? []
    return protocol === undefined ? undefined : Number(protocol)
  } catch {
    // Whoever loads it says what is wrong with it.
    return undefined
  } finally {
    if (found !== undefined) closeSync(found)
  }
}
