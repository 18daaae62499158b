/**
 * A clock that only goes forward, in milliseconds. Not `performance.now()`: the first use of that global loads
 * `node:perf_hooks`, which costs each worker's start a millisecond.
 */
export const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6
