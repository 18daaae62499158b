import { fileURLToPath } from "node:url"

/** File of one of the bench's programs. */
export const program = (name: string): string => fileURLToPath(new URL(`./programs/${name}`, import.meta.url))
