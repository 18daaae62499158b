/**
 * The flag that says why.
 */
import * as Flag from "effect/cli/Flag"

/** `--reason TEXT`, nothing unless told. `use` is what becomes of it. */
export const reason = (use: string): Flag.Flag<string> =>
  Flag.String("reason").pipe(Flag.withMetavar("TEXT"), Flag.withDescription(`Why; ${use}`), Flag.withDefault(""))
