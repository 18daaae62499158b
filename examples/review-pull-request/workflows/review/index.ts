/**
 * Works on a branch until a reviewer approves it: the planner says what to do, the coder does it and
 * commits, the reviewer runs the tests, reads the diff, and approves or asks for a change.
 *
 * The branch is `review/<thread>`; merging it is left to a person.
 */
import { Role, Workflow } from "@nerve/core"
import { coder } from "./coder.ts"
import { planner } from "./planner.ts"
import { reviewer, Review } from "./reviewer.ts"

export default Workflow.make({
  roles: { planner, coder, reviewer },
  moderator: (context) => {
    switch (Role.last(context)?.role) {
      case undefined:
        return "planner"
      case "planner":
        return "coder"
      case "coder":
        return "reviewer"
      default:
        return Role.lastMeta(context, "reviewer", Review)?.verdict === "approve" ? Workflow.END : "coder"
    }
  }
})
