/**
 * The log in a real Postgres keeps what every log promises (D1, D2). Where no Postgres can be started this
 * is skipped, and says so.
 */
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import * as LogStorePostgres from "@nerve/cluster/LogStorePostgres"
import * as PgClient from "@effect/sql-pg/PgClient"
import { LogStore } from "@nerve/runtime/log/LogStore"
import { StoreMaintenance } from "@nerve/runtime/log/StoreMaintenance"
import * as LogStoreSql from "@nerve/runtime/log/LogStoreSql"
import { Clock, Effect, Layer } from "effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as SqlClient from "effect/sql/SqlClient"
import { TestClock } from "effect/testing"
import { TickHistory } from "@nerve/runtime/sense/TickHistory"
import * as TickHistorySql from "@nerve/runtime/sense/TickHistorySql"
import { suite as tickSuite } from "../../runtime/test/sense/TickHistorySuite.ts"
import { message, opened, signal, suite } from "../../runtime/test/log/LogStoreSuite.ts"
import { binaries, type Server, start } from "./postgres.ts"

if (binaries === undefined) {
  console.log(
    "LogStorePostgres: skipped, for no Postgres runs here: there are no binaries for this machine, and no initdb and postgres in PATH"
  )
}

describe.skipIf(binaries === undefined)("Postgres", () => {
  let server: Server | undefined
  let schemas = 0
  beforeAll(async () => {
    server = await start(binaries ?? "")
  }, 120_000)
  afterAll(() => server?.stop(), 60_000)

  const options = (schema: string): LogStorePostgres.Options => ({
    path: `${server?.path}/.s.PGSQL.5432`,
    username: "nerve",
    database: "postgres",
    maxConnections: 4,
    schema
  })
  // Connections live in real time, whatever the test does to its clock.
  const fresh = Layer.effectContext(
    Effect.suspend(() => TestClock.withLive(LogStorePostgres.make(options(`log "${++schemas}"`)))).pipe(
      Effect.map(LogStoreSql.toContext)
    )
  ).pipe(Layer.provide(Reactivity.layer))

  suite("LogStorePostgres", fresh, 12)

  // With the client's own types, which give a BIGINT as what it is.
  const sqlClient = Layer.effect(
    SqlClient.SqlClient,
    Effect.suspend(() => {
      const { schema: _, ...config } = options("")
      const name = `ticks${++schemas}`
      return PgClient.make({ ...config, startupParameters: { search_path: name } }).pipe(
        Effect.tap((sql) => sql.unsafe(`CREATE SCHEMA ${name}`)),
        Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())
      )
    })
  )
  const ticks = Layer.effect(TickHistory, TickHistorySql.make()).pipe(
    Layer.provide(sqlClient),
    Layer.provide(Reactivity.layer)
  )
  tickSuite("TickHistorySql", ticks)

  it.effect("goes on where it was left, and its chain, runs and schema hold", () =>
    Effect.gen(function* () {
      const use = <A, E>(effect: Effect.Effect<A, E, LogStore | StoreMaintenance>) =>
        Effect.provide(effect, LogStorePostgres.layer(options("again")))
      yield* use(Effect.flatMap(LogStore, (store) => store.appendAll([opened("started", "t"), message("t", 1)])))
      yield* use(
        Effect.gen(function* () {
          const store = yield* LogStore
          const maintenance = yield* StoreMaintenance
          expect((yield* store.append(message("t", 1))).id).toBe(2)
          expect((yield* store.append(signal("cpu", "ü".repeat(100_000)))).id).toBe(3)
          expect(yield* store.verify).toBeNull()
          expect(yield* maintenance.rebuild).toEqual({ runs: 1 })
          expect(yield* maintenance.verify).toMatchObject({ ok: true, entries: 3, runs: 1 })
          expect(yield* maintenance.stats).toMatchObject({ entries: 3, lastId: 3 })
        })
      )
    })
  )

  it.effect("has one writer: a second daemon is refused while the first one lives, and not after", () =>
    Effect.gen(function* () {
      const open = Effect.scoped(Layer.build(LogStorePostgres.layer(options("one"))))
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Layer.build(LogStorePostgres.layer(options("one")))
          expect(yield* Effect.flip(open)).toMatchObject({ _tag: "PostgresOpenFailed", reason: "locked" })
        })
      )
      yield* open
    })
  )

  it.effect("says that there is no server", () =>
    Effect.gen(function* () {
      const nowhere = LogStorePostgres.layer({ ...options("x"), path: "/nonexistent/.s.PGSQL.5432" })
      expect(yield* Effect.flip(Effect.scoped(Layer.build(nowhere)))).toMatchObject({ reason: "unreachable" })
    })
  )
})
