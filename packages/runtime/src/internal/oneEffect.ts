/**
 * Finds out that an application and nerve have loaded a copy of Effect each. Two copies look alike and do not work
 * together: values of the one are nearly right for the other, so that a call may answer with a symbol of Effect's own.
 */
import * as Effect from "effect/Effect"

/** The fibers of the copy that nerve has loaded. */
const ownFiber = Effect.runFork(Effect.void).constructor

const twoCopies = `two copies of the package "effect" are loaded: nerve has one and whoever runs it has another. \
They do not work together. Let both resolve to the same folder (docs/api.md, "In an application of yours").`

/** A defect where the fiber that runs it is of another copy. */
export const assertOneEffect: Effect.Effect<void> = Effect.withFiber((fiber) =>
  fiber.constructor === ownFiber ? Effect.void : Effect.die(new Error(twoCopies))
)
