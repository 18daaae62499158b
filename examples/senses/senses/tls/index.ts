/**
 * Reads a server's TLS certificate and says how many days it is still good for, each time fewer are left than
 * one of the `days` that it is told, and when the certificate was renewed.
 */
import { isIP } from "node:net"
import { connect } from "node:tls"
import { Sense } from "@nerve/core"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const dayMs = 24 * 60 * 60 * 1000

export default Sense.make({
  params: Schema.Struct({
    host: Schema.String,
    /** 443 unless told. */
    port: Schema.optionalKey(Schema.Int),
    /** When to speak up. */
    days: Schema.Array(Schema.Finite)
  }),
  signal: Schema.Struct({
    host: Schema.String,
    /** Whom the certificate is for. */
    name: Schema.String,
    expires: Schema.Date,
    /** Negative when it has expired. */
    daysLeft: Schema.Int,
    renewed: Schema.Boolean
  }),
  state: {
    // What was said last, and about which certificate.
    schema: Schema.Struct({ serial: Schema.String, said: Schema.NullOr(Schema.Finite) }),
    initial: { serial: "", said: null }
  },
  compute: ({ params: { days, host, port = 443 }, state }) =>
    Effect.gen(function* () {
      const certificate = yield* readCertificate(host, port)
      const daysLeft = Math.floor((certificate.expires.getTime() - (yield* Clock.currentTimeMillis)) / dayMs)
      const before = state.get()
      const renewed = before.serial !== "" && before.serial !== certificate.serial
      const said = renewed ? null : before.said

      // The nearest of the days that have come.
      const due = days.toSorted((a, b) => a - b).find((limit) => daysLeft < limit) ?? null
      state.set({ serial: certificate.serial, said: due })
      const isNews = renewed || (due !== null && due !== said)
      if (!isNews) return Sense.skip(`${daysLeft} days left`)
      return Sense.signal({ host, name: certificate.name, expires: certificate.expires, daysLeft, renewed })
    })
})

/** The certificate as the server shows it; whether it is to be trusted is another question. */
const readCertificate = (host: string, port: number) =>
  Effect.callback<{ readonly name: string; readonly serial: string; readonly expires: Date }, Error>((resume) => {
    // Servers choose their certificate by the name that they are asked for; an address is none.
    const name = isIP(host) === 0 ? { servername: host } : {}
    const socket = connect({ host, port, ...name, rejectUnauthorized: false }, () => {
      const { serialNumber, subject, valid_to } = socket.getPeerCertificate()
      resume(Effect.succeed({ name: String(subject.CN), serial: serialNumber, expires: new Date(valid_to) }))
      socket.end()
    })
    socket.once("error", (error) => resume(Effect.fail(error)))
    // The soft timeout interrupts, and this closes the connection.
    return Effect.sync(() => socket.destroy())
  })
