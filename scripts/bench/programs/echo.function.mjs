// For the pools that run an exported function: piscina, tinypool, jest-worker.
export default (payload) => payload
export const echo = (payload) => payload
