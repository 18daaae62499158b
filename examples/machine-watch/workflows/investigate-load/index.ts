/**
 * Finds out what keeps the machine busy: the collector runs commands, the analyst judges, the reporter
 * writes it down.
 */
import { Workflow } from "@nerve/core"
import { analyst } from "./analyst.ts"
import { collector } from "./collector.ts"
import { reporter } from "./reporter.ts"

export default Workflow.make({
  roles: { collector, analyst, reporter },
  moderator: Workflow.sequence("collector", "analyst", "reporter")
})
