/**
 * Tells about a release. Started by `release`, which waits for its end.
 */
import { Role, Workflow } from "@nerve/core"

export default Workflow.make({
  roles: { herald: Role.make(({ start }) => `${start.prompt}!`) },
  moderator: Workflow.sequence("herald")
})
