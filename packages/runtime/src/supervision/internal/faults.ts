/**
 * For what a worker that speaks the protocol is killed, in words, whether a key's or a tree's: exits and errors quote
 * them.
 */
import * as Frame from "@nerve/core/wire/Frame"

/** After a worker has closed its channel, how long it may take to exit before it is killed. */
export const channelClosedGraceMs = 1000

export const channelClosed = "it closed its channel and did not exit"

export const otherVersion = (version: number): string =>
  `it speaks version ${version} of the protocol, not ${Frame.protocolVersion}`

export const brokeProtocol = (detail: string): string => `it broke the protocol: ${detail}`

export const hung = (silentMs: number): string => `hung: no answer for ${Math.round(silentMs)} ms`

export const tooMuchMemory = (bytes: number): string => `memory: ${bytes} bytes are above its limit`
