/**
 * The chunks of one stream that have come and that its reader has not taken: they lie in this process's memory, so they
 * are bounded, in number and by what they hold, whatever their worker sends.
 */
import * as Frame from "@nerve/core/wire/Frame"

/** What becomes of a stream whose worker sends more. */
export const tooFarAhead = `more than ${Frame.streamWindow} chunks, or ${Frame.streamCharacters} characters, that were not acknowledged`

export class Unread {
  /** In characters, in the order they came. */
  readonly #sizes: Array<number> = []
  #characters = 0

  get count(): number {
    return this.#sizes.length
  }

  /** A chunk of so many characters has come. False: its worker should have waited. */
  add(characters: number): boolean {
    const mayCome = this.#sizes.length < Frame.streamWindow && this.#characters < Frame.streamCharacters
    this.#sizes.push(characters)
    this.#characters += characters
    return mayCome
  }

  /** The reader has taken the next one. */
  take(): void {
    this.#characters -= this.#sizes.shift() ?? 0
  }
}
