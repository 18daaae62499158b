/**
 * Whether nerve can run here at all, said before anything fails for an obscure reason.
 */

/** The oldest Node that has all that nerve uses: synchronous module hooks, `node:sqlite` without a flag. */
const oldest = [22, 19] as const

/** Why nerve cannot run here, and what to do; null when it can. Pure. */
export const obstacle = (platform: string, nodeVersion: string): string | null => {
  if (platform === "win32") {
    return (
      "this does not run on Windows: process groups, POSIX signals and the control socket's file permissions " +
      "are missing there\n  use WSL 2"
    )
  }
  const [major = 0, minor = 0] = nodeVersion.split(".").map(Number)
  return major > oldest[0] || (major === oldest[0] && minor >= oldest[1])
    ? null
    : `this needs Node ${oldest.join(".")} or later; it was started by ${nodeVersion}\n  install a newer Node`
}

/**
 * Keeps Node 22's warning that SQLite is experimental off stderr, which is for what a user can act on.
 * Other warnings are printed as ever.
 */
export const hushSqliteWarning = (): void => {
  const emit = process.emitWarning
  process.emitWarning = (warning: string | Error, ...rest: ReadonlyArray<unknown>) => {
    if (String(warning).includes("SQLite is an experimental feature")) return
    Reflect.apply(emit, process, [warning, ...rest])
  }
}
