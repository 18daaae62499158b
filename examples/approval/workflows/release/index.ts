/**
 * A release that waits for a person: prepared, approved by somebody (or not), published, announced by
 * another workflow. While it waits it holds no slot, and no restart makes it forget the question.
 */
import { Role, Workflow } from "@nerve/core"
import { gate, verdict } from "./gate.ts"
import { preparer } from "./preparer.ts"
import { publisher } from "./publisher.ts"

export default Workflow.make({
  roles: {
    preparer,
    gate,
    pause: Role.sleep("200 millis"),
    publisher,
    announcer: Role.child({ workflow: "announce", prompt: ({ start }) => `Announce: ${start.prompt}` })
  },
  moderator: (context) => {
    switch (Role.last(context)?.role) {
      case undefined:
        return "preparer"
      case "preparer":
        return "gate"
      case "gate":
        // Rejected, or nobody answered in time: nothing is published.
        return verdict(context)?.decision === "approved" ? "pause" : Workflow.END
      case "pause":
        return "publisher"
      case "publisher":
        return "announcer"
      default:
        return Workflow.END
    }
  }
})
