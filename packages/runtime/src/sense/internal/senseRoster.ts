/** Which senses and groups a pool has. */
import type { SenseName } from "@nerve/core/domain/Ids"
import type { Group, Sense } from "./senseState.ts"

export class SenseRoster {
  /** Those in force. */
  readonly senses = new Map<string, Sense>()
  /** These, and those that are leaving. */
  readonly present = new Set<Sense>()
  readonly groups = new Map<string, Group>()

  membersOf(group: Group): ReadonlyArray<Sense> {
    return Array.from(this.present).filter((sense) => sense.group === group)
  }

  /** The one whose trial it is; see `senseChanges`. */
  trialIn(group: Group): Sense | undefined {
    for (const sense of this.present) if (sense.group === group && sense.onTrial) return sense
    return undefined
  }

  /** Whose databases each sense may read. */
  peerNames(): ReadonlyArray<SenseName> {
    return Array.from(this.senses.values(), (sense) => sense.config.name)
  }
}
