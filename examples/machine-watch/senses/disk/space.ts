/**
 * How full a file system is, from what `statfs` tells.
 */

/** The part of `fs.statfs`'s answer that counts; sizes are in blocks of `bsize` bytes. */
export interface Blocks {
  readonly bsize: number
  readonly blocks: number
  readonly bfree: number
  readonly bavail: number
}

/** In bytes; `usage` from 0 to 1, as `df` computes it: of what a user could ever have. */
export interface Space {
  readonly total: number
  readonly available: number
  readonly usage: number
}

export const spaceOf = ({ bavail, bfree, blocks, bsize }: Blocks): Space => {
  const used = blocks - bfree
  const reachable = used + bavail
  return { total: blocks * bsize, available: bavail * bsize, usage: reachable === 0 ? 0 : used / reachable }
}
