/**
 * A tree of a command, a supervisor of its own and two Effects. When the database dies, what comes after
 * it is stopped and started again, in order; what comes before it goes on. `node main.ts`
 */
import { Mermaid, RespawnPolicy, StateTree } from "@nerve/core"
import { NodeSpawner } from "@nerve/node"
import { CommandWorker, EffectWorker, Supervisor } from "@nerve/runtime"
import { Effect, Stream } from "effect"

const service = (name: string) =>
  EffectWorker.make(
    Effect.acquireRelease(
      Effect.sync(() => console.log(`+ ${name}`)),
      () => Effect.sync(() => console.log(`- ${name}`))
    ).pipe(Effect.andThen(Effect.never))
  )

const program = Effect.gen(function* () {
  const supervisor = yield* Supervisor.make({
    id: "shop",
    strategy: "rest-for-one",
    respawn: RespawnPolicy.spaced("50 millis"),
    children: [
      { id: "metrics", worker: service("metrics") },
      { id: "database", worker: CommandWorker.make("sleep", ["60"]) },
      {
        id: "web",
        worker: Supervisor.blueprint({
          children: [
            { id: "http", worker: service("http") },
            { id: "mail", worker: service("mail"), restart: "on-failure" }
          ]
        })
      }
    ]
  })
  /** Waits until all run, the database and what depends on it for the n-th time. */
  const running = (n: number) =>
    supervisor.changes.pipe(
      Stream.filter((tree) => tree.children.every((child) => child.state === "Running")),
      Stream.filter((tree) => StateTree.find(tree, ["database"])?.incarnation === n),
      Stream.runHead
    )
  yield* supervisor.start
  yield* running(1)
  process.kill(StateTree.find(yield* supervisor.snapshot, ["database"])?.pid ?? 0, "SIGKILL")
  yield* running(2)
  console.log(Mermaid.tree(yield* supervisor.snapshot))
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(NodeSpawner.layer())))
