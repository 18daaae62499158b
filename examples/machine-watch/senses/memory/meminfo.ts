/**
 * Reads how much memory the machine has, and how much of it could be had.
 */
import { readFile } from "node:fs/promises"
import { freemem, platform, totalmem } from "node:os"

/** In bytes. */
export interface Memory {
  readonly total: number
  readonly available: number
}

/** `MemTotal` and `MemAvailable` of `/proc/meminfo`; undefined when one of them is missing. */
export const parseMeminfo = (text: string): Memory | undefined => {
  const bytes = (name: string): number | undefined => {
    const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)?.[1]
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024
  }
  const total = bytes("MemTotal")
  const available = bytes("MemAvailable")
  return total === undefined || available === undefined ? undefined : { total, available }
}

/** The figures of this machine as they are now. */
export const readMemory = async (): Promise<Memory> => {
  const found = platform() === "linux" ? parseMeminfo(await readFile("/proc/meminfo", "utf8")) : undefined
  return found ?? { total: totalmem(), available: freemem() }
}
