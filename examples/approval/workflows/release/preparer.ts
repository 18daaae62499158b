/**
 * Says what would be published.
 */
import { Role } from "@nerve/core"

export const preparer = Role.make(({ start }) => `Ready to publish: ${start.prompt}`)
