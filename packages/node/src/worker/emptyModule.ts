/** A module that holds nothing: what a spare imports to have the module loader set up, hooks, files and all. */
export const empty = undefined
