/**
 * How full the disk is that holds this workspace. Written as a plain async function: a sense needs no
 * Effect code.
 */
import { statfs } from "node:fs/promises"
import { Sense } from "@nerve/core"
import * as Schema from "effect/Schema"
import { spaceOf } from "./space.ts"

const keepMs = 24 * 60 * 60 * 1000

export default Sense.make({
  signal: Schema.Struct({ total: Schema.Finite, available: Schema.Finite, usage: Schema.Finite }),
  compute: async ({ db, workspace }) => {
    const space = spaceOf(await statfs(workspace))
    const now = Date.now()
    db.prepare("INSERT INTO readings (at, total, available, usage) VALUES (?, ?, ?, ?)").run(
      now,
      space.total,
      space.available,
      space.usage
    )
    db.prepare("DELETE FROM readings WHERE at < ?").run(now - keepMs)
    return Sense.signal({ ...space })
  }
})
