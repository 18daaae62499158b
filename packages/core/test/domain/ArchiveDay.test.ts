/** Which archived day an entry belongs to (D3), also when the clock steps. */
import { describe, expect, it } from "@effect/vitest"
import * as ArchiveDay from "@nerve/core/domain/ArchiveDay"
import fc from "fast-check"

const { DAY } = ArchiveDay
const noon = Date.parse("2026-02-28T12:00:00Z")

describe("ArchiveDay", () => {
  it("names UTC days, and reads the names again", () => {
    expect(ArchiveDay.nameOf(ArchiveDay.startOf(noon))).toBe("2026-02-28")
    expect(ArchiveDay.parse("2026-02-28")).toBe(ArchiveDay.startOf(noon))
    expect(ArchiveDay.nameOf(ArchiveDay.startOf(Date.parse("2026-03-01T00:00:00Z") - 1))).toBe("2026-02-28")
  })

  it("calls a day cold when all of it is older", () => {
    const day = ArchiveDay.startOf(noon)
    expect(ArchiveDay.isCold(day, day + 31 * DAY, 30 * DAY)).toBe(true)
    expect(ArchiveDay.isCold(day, day + 31 * DAY - 1, 30 * DAY)).toBe(false)
  })

  it("starts no day for an entry from the future, and gives each day one file", () => {
    const day = ArchiveDay.startOf(noon)
    expect(ArchiveDay.belongs(noon + 10 * DAY, day, noon + DAY)).toBe(true)
    expect(ArchiveDay.belongs(noon + DAY, day, noon + 2 * DAY)).toBe(false)
    expect(ArchiveDay.first(noon, day)).toBe(day + DAY)
  })

  it("divides any sequence of times into days that only grow, and orderly ones exactly", () => {
    const now = 100 * DAY
    const divide = (times: ReadonlyArray<number>) => {
      const files: Array<{ day: number; times: Array<number> }> = []
      for (const time of times) {
        const open = files.at(-1)
        if (open !== undefined && ArchiveDay.belongs(time, open.day, now)) open.times.push(time)
        else if (time <= now) files.push({ day: ArchiveDay.first(time, open?.day ?? null), times: [time] })
      }
      return files
    }
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 120 * DAY })), (times) => {
        const days = divide(times).map(({ day }) => day)
        expect(days).toEqual([...new Set(days)].sort((a, b) => a - b))
        const orderly = times.filter((time) => time <= now).sort((a, b) => a - b)
        for (const file of divide(orderly)) {
          for (const time of file.times) expect(ArchiveDay.startOf(time)).toBe(file.day)
        }
      })
    )
  })
})
