/** Which senses and groups a pool has. */
import type { GroupName, SenseName } from "@nerve/core/domain/Ids"
import { dependentsIn, type Group, newGroup, type Sense } from "./senseState.ts"

export class SenseRoster {
  /** Those in force. */
  readonly senses = new Map<string, Sense>()
  /** These, and those that are leaving. */
  readonly present = new Set<Sense>()
  readonly groups = new Map<string, Group>()
  #dependents: ReadonlyMap<string, ReadonlyArray<Sense>> = new Map()

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

  /** The group of this name, from now on if there was none. */
  groupOf(name: GroupName): Group {
    const group = this.groups.get(name) ?? newGroup(name)
    this.groups.set(name, group)
    return group
  }

  /** Looks anew who is triggered by whose signals: the senses in force are other ones. */
  link(): void {
    this.#dependents = dependentsIn(this.senses.values())
  }

  /** Who is triggered by this one's signals, as of the last `link`. */
  dependentsOf(sense: Sense): ReadonlyArray<Sense> {
    return this.#dependents.get(sense.config.name) ?? []
  }
}
