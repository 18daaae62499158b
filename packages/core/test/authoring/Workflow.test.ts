/** Workflows as their authors write them (W1). */
import { Role, Workflow } from "@nerve/core"
import { describe, expect, expectTypeOf, it } from "vitest"
import { conversation } from "./support.ts"

const greeter = Role.make(() => "hello")

describe("Workflow.make", () => {
  const workflow = Workflow.make({
    roles: { greeter, critic: greeter },
    moderator: (context) => (Role.last(context)?.role === "greeter" ? "critic" : Workflow.END)
  })

  it("holds roles and moderator, and is known for what it is", () => {
    expect(Workflow.isWorkflow(workflow)).toBe(true)
    expect(Workflow.isWorkflow({ roles: {}, moderator: () => Workflow.END })).toBe(false)
    expect(workflow.moderator(conversation([["greeter", "hi"]]))).toBe("critic")
    expect(workflow.moderator(conversation())).toBe(Workflow.END)
  })

  it("types the moderator by the names of the roles", () => {
    expectTypeOf(workflow.moderator).returns.toEqualTypeOf<"greeter" | "critic" | Workflow.END>()
    expectTypeOf(Workflow.make<"greeter">)
      .parameter(0)
      .toHaveProperty("moderator")
      .returns.toEqualTypeOf<"greeter" | Workflow.END>()
    // @ts-expect-error: there is no such role
    Workflow.make({ roles: { greeter }, moderator: () => "nobody" })
    // @ts-expect-error: there is no such role
    Workflow.make({ roles: { greeter }, moderator: Workflow.sequence("greeter", "nobody") })
    // @ts-expect-error: a function is no role
    Workflow.make({ roles: { greeter: () => "hello" }, moderator: Workflow.sequence("greeter") })
  })
})

describe("Workflow.sequence", () => {
  it("lets each role speak once, in order, and then ends", () => {
    const moderator = Workflow.sequence("a", "b", "a")
    expect(moderator(conversation())).toBe("a")
    expect(moderator(conversation([["a", ""]]))).toBe("b")
    expect(
      moderator(
        conversation([
          ["a", ""],
          ["b", ""]
        ])
      )
    ).toBe("a")
    expect(
      moderator(
        conversation([
          ["a", ""],
          ["b", ""],
          ["a", ""]
        ])
      )
    ).toBe(Workflow.END)
  })
})
