/** nerve.yaml: what is read (C1), cross-checks (C2), unknown names and cycles of `on` (S10), hostile input. */
import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import * as fc from "fast-check"
import { stringify } from "yaml"
import { defaultFile, parse } from "../../src/config/ConfigParser.ts"
import { type ConfigProblem, ConfigInvalid, formatProblem } from "../../src/config/ConfigProblem.ts"
import { isLoopback } from "../../src/config/ConfigSchema.ts"
import * as DurationText from "../../src/config/DurationText.ts"
import { empty, NerveConfig, type Watch } from "../../src/config/NerveConfig.ts"

const failure = (text: string): ConfigInvalid => {
  const parsed = parse(text)
  if (Result.isSuccess(parsed)) return assert.fail("the text was accepted")
  return parsed.failure
}
const problemsOf = (text: string): ReadonlyArray<ConfigProblem> => failure(text).problems
/** Each problem as one line without the file's name. */
const linesOf = (text: string) => problemsOf(text).map((problem) => formatProblem(problem, "").slice(1))
const config = (text: string): NerveConfig => Result.getOrThrow(parse(text))

const durations = "a duration such as 500ms, 5s, 10m, 1h or 1d, from 100ms to 365d"
const names = (noun: string) => `a ${noun} name: letters, digits, "-", "_" and ".", at most 64, a letter or digit first`

describe("a good file", () => {
  it("becomes the configuration, exactly", () => {
    const text = `
# everything there is
senses:
  cpu-usage:
    group: system
    interval: 10s
    throttle: 500ms
    timeout: 1m
    grace_period: 0s
  memory: { group: system, interval: 1h }
  alarm:
    on: [cpu-usage, "memory"]
  by-hand:
workflows:
  investigate-load:
    concurrency: 2
    overflow: queue
    max_queue: 5
    token_budget: 100000
    cost_budget: 2.5
  tidy:
max_rounds: 12
log: { archive_after: 7d, keep: 365d }
api:
  port: 7420
  host: 0.0.0.0
  token: 0123
extract:
  provider: openai
  model: gpt-5-mini
agents:
  analyst:
    type: openai
    model: gpt-5
    timeout: 2m
  coder:
    type: cursor-agent
env: [OPENAI_API_KEY, HTTP_PROXY]
watch: poll
`
    const shared = {
      intervalMs: null,
      cron: null,
      catchUp: "once",
      throttleMs: null,
      timeoutMs: 30_000,
      gracePeriodMs: 5_000,
      on: []
    } as const
    assert.deepStrictEqual(Schema.encodeSync(NerveConfig)(config(text)), {
      senses: [
        {
          name: "cpu-usage",
          group: "system",
          intervalMs: 10_000,
          cron: null,
          catchUp: "once",
          throttleMs: 500,
          timeoutMs: 60_000,
          gracePeriodMs: 0,
          on: []
        },
        { ...shared, name: "memory", group: "system", intervalMs: 3_600_000 },
        { ...shared, name: "alarm", group: "alarm", on: ["cpu-usage", "memory"] },
        { ...shared, name: "by-hand", group: "by-hand" }
      ],
      workflows: [
        {
          name: "investigate-load",
          concurrency: 2,
          overflow: "queue",
          maxQueue: 5,
          onChange: "finish-on-old",
          budget: { tokens: 100000, costUsd: 2.5 }
        },
        { name: "tidy", concurrency: 1, overflow: "drop", maxQueue: 100, onChange: "finish-on-old", budget: null }
      ],
      maxRounds: 12,
      log: { archiveAfter: 604_800_000, keep: 31_536_000_000 },
      api: { port: 7420, host: "0.0.0.0", token: "0123" },
      extract: { provider: "openai", model: "gpt-5-mini" },
      agents: [
        { name: "analyst", type: "openai", model: "gpt-5", timeoutMs: 120_000 },
        { name: "coder", type: "cursor-agent", model: null, timeoutMs: null }
      ],
      env: ["OPENAI_API_KEY", "HTTP_PROXY"],
      watch: "poll"
    })
  })

  it("may leave out everything, also by null, but must say so", () => {
    assert.deepStrictEqual(config("{}"), empty)
    assert.deepStrictEqual(
      config("senses:\nworkflows: null\napi: ~\nextract:\nagents:\nenv:\nreflexes:\nmax_rounds:"),
      empty
    )
  })

  it("takes names, tokens and models as they are written", () => {
    const { agents, api, senses } = config(
      "senses:\n  true: {}\n  1e3: { on: [true, null, 0x1F] }\n  null: {}\n  0x1F: {}\n  2024-01-01: {}\n" +
        "api: { port: 1, token: 1e3 }\nagents: { a: { type: scripted, model: 4.10 } }"
    )
    assert.deepStrictEqual(
      senses.map(({ name }): string => name),
      ["true", "1e3", "null", "0x1F", "2024-01-01"]
    )
    assert.deepStrictEqual(
      senses[1]?.on.map((name): string => name),
      ["true", "null", "0x1F"]
    )
    assert.strictEqual(api?.token, "1e3")
    assert.strictEqual(agents[0]?.model, "4.10")
  })

  it.each([
    ["a byte order mark", "\uFEFFmax_rounds: 7\n"],
    ["CRLF", "max_rounds: 7\r\nsenses:\r\n"],
    ["a document mark and a comment", "%YAML 1.2\n--- # nerve\nmax_rounds: 7\n...\n"],
    ["JSON", '{"max_rounds": 7}']
  ])("may have %s", (_, text) => {
    assert.strictEqual(config(text).maxRounds, 7)
  })
})

describe("one mistake", () => {
  it.each([
    ["senses:\n  a:\n    intervall: 10s", '3:5  senses.a.intervall: unknown key; did you mean "interval"?'],
    ["senses:\n  a: {gracePeriod: 10s}", '2:7  senses.a.gracePeriod: unknown key; did you mean "grace_period"?'],
    ["workflows: {a: {max-queue: 1}}", '1:17  workflows.a.max-queue: unknown key; did you mean "max_queue"?'],
    [
      "colour: 1",
      "1:1  colour: unknown key; expected senses, workflows, max_rounds, log, api, extract, agents, env, watch or reflexes"
    ],
    ["senses:\n  a:\n    interval: 30", '3:15  senses.a.interval: 30 has no unit; did you mean "30s"?'],
    ["senses: {a: {timeout: 10 sec}}", '1:23  senses.a.timeout: "10 sec" is not a duration; did you mean "10s"?'],
    ["senses: {a: {interval: soon}}", `1:24  senses.a.interval: "soon" is not a duration; expected ${durations}`],
    ["senses: {a: {interval: 99ms}}", `1:24  senses.a.interval: "99ms" is too short; expected ${durations}`],
    ["senses: {a: {interval: 366d}}", `1:24  senses.a.interval: "366d" is too long; expected ${durations}`],
    ["senses: {a: {interval: [1s]}}", `1:24  senses.a.interval: found a list; expected ${durations}`],
    ["api: {port: }", "1:7  api.port: found no value; expected a whole number from 0 to 65535"],
    [
      "senses: {a: {throttle: 0s}}",
      `1:24  senses.a.throttle: "0s" is too short; expected ${durations.replace("100ms", "1ms")}`
    ],
    ["senses: {a: {group: my group}}", '1:21  senses.a.group: found "my group"; did you mean "my-group"?'],
    ["senses:\n  my sense: {}", '2:3  senses."my sense": "my sense" cannot be a name; did you mean "my-sense"?'],
    ["senses:\n  ../x: {}", '2:3  senses."../x": "../x" cannot be a name; did you mean "x"?'],
    ["senses:\n  ~: {}", `2:3  senses."~": "~" cannot be a name; expected ${names("sense")}`],
    ["senses: {a: {}, A: {}}", '1:17  senses.A: only its case tells it from "a"; expected another name'],
    ["senses: {a: {}, a: {}}", "1:17  senses.a: this key is there twice; expected each key once"],
    ["senses: {a: {on: [b]}, bb: }", '1:19  senses.a.on[0]: there is no sense "b"; did you mean "bb"?'],
    [
      "senses: {a: {on: [xyz]}}",
      '1:19  senses.a.on[0]: there is no sense "xyz"; expected the name of a sense of this file'
    ],
    ["senses: {a: {on: b}, b: {}}", '1:18  senses.a.on: found "b"; did you mean "[b]"?'],
    ["senses: {a: {on: [b, b]}, b: {}}", '1:22  senses.a.on[1]: "b" is there twice; expected each once'],
    [
      "senses:\n  - a\n",
      "2:3  senses: found a list; expected a mapping: a sense name, a colon, and its settings beneath"
    ],
    [
      "senses: {a: 10s}",
      '1:13  senses.a: found "10s"; expected a mapping with group, interval, cron, time_zone, catch_up, on, throttle, timeout, grace_period or params'
    ],
    ["senses: {a: {on: [a]}}", '1:19  senses.a.on[0]: sense "a" would trigger itself; expected no cycle'],
    [
      "senses: {a: {on: [c]}, b: {on: [x, a]}, c: {on: [b]}, x: }",
      "1:19  senses.a.on[0]: these senses would trigger each other without end: a -> b -> c -> a; expected no cycle"
    ],
    [
      "workflows: {a: {concurrency: 0}}",
      "1:30  workflows.a.concurrency: found 0; expected a whole number from 1 to 1000"
    ],
    [
      'workflows: {a: {concurrency: "2"}}',
      '1:30  workflows.a.concurrency: found "2"; expected a whole number from 1 to 1000, without quotes'
    ],
    [
      "workflows: {a: {concurrency: 1.5}}",
      "1:30  workflows.a.concurrency: found 1.5; expected a whole number from 1 to 1000"
    ],
    ["workflows: {a: {overflow: qeue}}", '1:27  workflows.a.overflow: found "qeue"; did you mean "queue"?'],
    ["workflows: {a: {overflow: wait}}", '1:27  workflows.a.overflow: found "wait"; expected drop or queue'],
    [
      "workflows: {a: {overflow: drop, max_queue: 3}}",
      '1:33  workflows.a.max_queue: nothing is queued with overflow: drop; did you mean "overflow: queue"?'
    ],
    [
      "workflows: {a: {max_queue: 3}}",
      '1:17  workflows.a.max_queue: nothing is queued with overflow: drop; did you mean "overflow: queue"?'
    ],
    ["max_rounds: .inf", "1:13  max_rounds: found .inf; expected a whole number from 1 to 10000"],
    ["api: {}", "1:1  api.port: missing key; expected a whole number from 0 to 65535"],
    ["api: {port: 65536}", "1:13  api.port: found 65536; expected a whole number from 0 to 65535"],
    [
      "api:\n  port: 1\n  host: 0.0.0.0",
      '3:9  api.host: "0.0.0.0" can be reached from other machines, and there is no token; ' +
        "expected a token beside it, or a loopback host such as 127.0.0.1"
    ],
    [
      'api: {port: 1, host: "http://x"}',
      '1:22  api.host: found "http://x"; expected a host name or an IP address, without port'
    ],
    [
      "api: {port: 1, token: true}",
      "1:23  api.token: found true; expected a token: visible ASCII characters without spaces; in quotes if this is one"
    ],
    [
      'api: {port: 1, token: ""}',
      '1:23  api.token: found ""; expected a token: visible ASCII characters without spaces'
    ],
    ["extract: {provider: x}", "1:1  extract.model: missing key; expected text without spaces"],
    ["agents: {a: {type: opnai}}", '1:20  agents.a.type: found "opnai"; did you mean "openai"?'],
    ["agents: {a: }", "1:10  agents.a.type: missing key; expected openai, command, cursor-agent, hermes or scripted"],
    ["env: [$HOME]", '1:7  env[0]: found "$HOME"; did you mean "HOME"?'],
    ["env: [A=b]", '1:7  env[0]: found "A=b"; did you mean "A"?'],
    ["env: [A, A]", '1:10  env[1]: "A" is there twice; expected each once'],
    ["env:\n  - A B", '2:5  env[0]: found "A B"; expected the name of an environment variable, such as OPENAI_API_KEY'],
    [
      "env:\n  -\n",
      "2:4  env[0]: found no value; expected the name of an environment variable, such as OPENAI_API_KEY"
    ],
    [
      "- a",
      "1:1  found a list; expected a mapping with senses, workflows, max_rounds, log, api, extract, agents, env, watch or reflexes"
    ],
    [
      'senses: {a: {cron: "0 25 * * *"}}',
      '1:20  senses.a.cron: "0 25 * * *" has "25" as its hour, which is not within 0-23; expected a cron expression such as "0 3 * * 1-5": minute, hour, day, month, weekday; seconds may lead'
    ],
    ['senses: {a: {cron: "@daily"}}', '1:20  senses.a.cron: "@daily" is a nickname; did you mean "0 0 * * *"?'],
    [
      "senses: {a: {cron: 0 0 * * *, interval: 5s}}",
      "1:14  senses.a.cron: there is an interval already; expected either interval or cron"
    ],
    [
      "senses: {a: {cron: 0 0 * * *, time_zone: Europe/Belin}}",
      '1:42  senses.a.time_zone: "Europe/Belin" is not a time zone; did you mean "Europe/Berlin"?'
    ],
    [
      "senses: {a: {interval: 5s, time_zone: UTC}}",
      "1:28  senses.a.time_zone: there is no cron to read in a time zone; expected cron beside it, or no time_zone"
    ],
    ["senses: {a: {interval: 5s, catch_up: al}}", '1:38  senses.a.catch_up: found "al"; did you mean "all"?'],
    ["senses:\n  a:\n    cron: */5 * * * *", "3:15  a * after the value; expected the whole value in quotes"],
    ["senses:\n  a:\n    cron: * * * * *", "3:11  a value that starts with *; expected the value in quotes"],
    [
      "senses: {a: {cron: 0 0 * * *}}\nreflexes: [{sense: a, interval: 5s}]",
      '2:33  reflexes[0].interval: sense "a" already has a cron expression; expected either interval or cron'
    ]
  ])("in %j is told with its place", (text, expected) => {
    assert.deepStrictEqual(linesOf(text), [expected])
  })

  it("carries the path as steps, and what was expected also beside a suggestion", () => {
    assert.deepStrictEqual(problemsOf("senses:\n  a.b: {}\n  c:\n    on: [a.b, ab]\n"), [
      {
        line: 4,
        column: 15,
        path: ["senses", "c", "on", 1],
        key: "senses.c.on[1]",
        message: 'there is no sense "ab"',
        expected: "the name of a sense of this file",
        suggestion: "a.b"
      }
    ])
  })

  it("is a ConfigInvalid that names the file", () => {
    assert.strictEqual(failure("x: 1").file, defaultFile)
    const named = parse("x: 1", { file: "other.yaml" })
    assert.isTrue(
      Result.isFailure(named) && named.failure instanceof ConfigInvalid && named.failure.file === "other.yaml"
    )
  })

  it.each(["", "\uFEFF", "# only a comment\n", "---\n", "null"])("is an empty file: %j", (text) => {
    const [problem] = problemsOf(text)
    assert.strictEqual(problem?.message, "the file is empty")
    // The example in the message must work as it stands.
    const example = problem?.expected.split("\n\n")[1] ?? ""
    assert.strictEqual(config(example).senses.length, 1)
  })
})

describe("text that is not the YAML nerve reads", () => {
  it.each([
    [
      "senses:\n  a:\n    interval 10s\n    group: x\n",
      '3:5  a key without a colon and a space after it; expected "key: value"'
    ],
    ["max_rounds:1\nenv: []\n", '1:1  a key without a colon and a space after it; expected "key: value"'],
    ["max_rounds: 1\nsenses\n", '2:1  a key without a colon and a space after it; expected "key: value"'],
    ["senses:\n\ta:\n", "2:1  a tab in the indentation; expected spaces"],
    ["max_rounds: 'x\nenv: [A]\n", "1:13  a quote that is never closed; expected a closing quote"],
    ["env: [A, B\nmax_rounds: 1\n", "2:1  a list in brackets that is not closed above here; expected a closing ]"],
    ["senses: {a: {}\nmax_rounds: 1\n", "2:1  a mapping in braces that is not closed above here; expected a closing }"],
    [
      "senses:\n    a:\n  b:\n",
      "3:3  the indentation fits no level above; expected the keys of one mapping in the same column"
    ],
    ["env: ]\n", "1:6  a closing bracket that was never opened; expected none"],
    ["env: @x\n", "1:6  a value that starts with a reserved character; expected the value in quotes"],
    ["max_rounds: &a 1\nenv: *a\n", "2:6  env: aliases are not supported; expected the value itself, written out"],
    ["<<: {max_rounds: 1}\n", '1:1  "<<": merge keys are not supported; expected the keys themselves, written out'],
    ["max_rounds: !!int 1\n", "1:13  max_rounds: tags are not supported; expected the value without a tag"],
    ["env:\n  - !x A\n", "2:5  env[0]: tags are not supported; expected the value without a tag"],
    ["? [a]\n: 1\n", "1:3  a key that is not plain text; expected a word, a colon and a value"],
    [
      "max_rounds: 1\n---\nmax_rounds: 2\n",
      "2:1  a second YAML document starts here; expected one document in the file"
    ],
    ["%YAML 1.1\n---\nmax_rounds: 1\n", "1:1  YAML directives are not supported; expected the line to be removed"]
  ])("%j is told with its place", (text, expected) => {
    assert.deepStrictEqual(linesOf(text), [expected])
  })

  it("does not hide the other mistakes", () => {
    assert.deepStrictEqual(
      linesOf("env: @x\nmax_round: 5\nsenses:\n  a: *b\n  c: {on: [a, nobody]}\nworkflows:\n  w: {overflow: dorp}\n"),
      [
        "1:6  a value that starts with a reserved character; expected the value in quotes",
        '2:1  max_round: unknown key; did you mean "max_rounds"?',
        "4:6  senses.a: aliases are not supported; expected the value itself, written out",
        // Not that there is no `nobody`: the broken line may have been meant to define it.
        '7:17  workflows.w.overflow: found "dorp"; did you mean "drop"?'
      ]
    )
  })
})

describe("reflexes", () => {
  it("are merged into their senses", () => {
    const { senses } = config(`
senses:
  a: { interval: 10s }
  b: { on: [a] }
  c:
reflexes:
  - { kind: sense, sense: a, interval: 10s }
  - { sense: b, on: [a, c], interval: 1m }
  - { kind: sense, sense: c }
`)
    assert.deepStrictEqual(
      senses.map(({ intervalMs, name, on }) => ({ name: String(name), intervalMs, on: on.map(String) })),
      [
        { name: "a", intervalMs: 10_000, on: [] },
        { name: "b", intervalMs: 60_000, on: ["a", "c"] },
        { name: "c", intervalMs: null, on: [] }
      ]
    )
  })

  it("that are wrong are told with their places", () => {
    assert.deepStrictEqual(
      linesOf(`senses: { a: { interval: 1s }, b: { on: [a] } }
reflexes:
  - { kind: workflow, workflow: w, on: [a] }
  - { sense: A1 }
  - { sense: a, interval: 2s }
  - { kind: sense, interval: 2s }
  - { sense: a, on: [b] }
`),
      [
        "3:13  reflexes[0].kind: workflows are not started by reflexes any more; " +
          "expected the sense to launch it: Sense.signal(value, { launch })",
        '4:14  reflexes[1].sense: there is no sense "A1"; did you mean "a"?',
        '5:27  reflexes[2].interval: sense "a" already has the interval 1s; expected one interval for each sense',
        `6:5  reflexes[3].sense: missing key; expected ${names("sense")}`,
        "7:22  reflexes[4].on[0]: these senses would trigger each other without end: a -> b -> a; expected no cycle"
      ]
    )
  })
})

describe("many mistakes", () => {
  it("are all told, in the order of their places", () => {
    const text = `senses:
  cpu-usage:
    intervall: 10s
    throttle: 30
  memory:
    interval: 10 sec
    on: [cpu-usag, disk]
  disk:
    interval: 5ms
    on: [memory]
  "my sense": {}
workflows:
  investigate-load:
    overflow: drop
    max_queue: 10
  tidy:
    concurrency: 0
max_round: 12
api:
  host: 0.0.0.0
extract:
  provider: openai
agents:
  analyst:
    type: opnai
env: [$PATH]
`
    const places = problemsOf(text).map(({ column, key, line }) => `${line}:${column} ${key}`)
    assert.deepStrictEqual(places, [
      "3:5 senses.cpu-usage.intervall",
      "4:15 senses.cpu-usage.throttle",
      "6:15 senses.memory.interval",
      "7:10 senses.memory.on[0]",
      "7:20 senses.memory.on[1]",
      "9:15 senses.disk.interval",
      '11:3 senses."my sense"',
      "15:5 workflows.investigate-load.max_queue",
      "17:18 workflows.tidy.concurrency",
      "18:1 max_round",
      "19:1 api.port",
      "20:9 api.host",
      "21:1 extract.model",
      "25:11 agents.analyst.type",
      "26:7 env[0]"
    ])
  })

  it("keep their places with CRLF and a byte order mark", () => {
    const text = "\uFEFFmax_round: 5\r\nsenses:\r\n  a: { every: 1s }\r\n"
    assert.deepStrictEqual(
      problemsOf(text).map(({ column, line }) => [line, column]),
      [
        [1, 1],
        [3, 8]
      ]
    )
  })
})

describe("a loopback host", () => {
  it.each(["127.0.0.1", "127.255.0.9", "localhost", "LocalHost", "::1", "[::1]"])("is %s", (host) => {
    assert.isTrue(isLoopback(host))
    assert.isTrue(Result.isSuccess(parse(`api: {port: 1, host: "${host}"}`)))
  })

  it.each(["0.0.0.0", "::", "127.0.0.1.example.org", "127.0.0.256", "127.1", "0127.0.0.1", "localhost.evil.org"])(
    "is not %s",
    (host) => {
      assert.isFalse(isLoopback(host))
      assert.isTrue(Result.isSuccess(parse(`api: {port: 1, host: "${host}", token: t}`)))
    }
  )
})

// --- Properties ---

const nameArbitrary = fc.oneof(
  fc.constantFrom("true", "null", "1e3", "constructor", "toString", "0x10", "a.b", "on"),
  fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,15}$/)
)
const namesArbitrary = fc.uniqueArray(nameArbitrary, { maxLength: 6, selector: (name) => name.toLowerCase() })
const durationArbitrary = fc.integer({ min: 100, max: 31_536_000_000 })
const maybe = <A>(arbitrary: fc.Arbitrary<A>) => fc.option(arbitrary, { nil: null })
const wordArbitrary = fc.stringMatching(/^[a-z][a-z0-9.:/-]{0,20}$/).filter((word) => !/^(true|false|null)$/.test(word))

const timingArbitrary = fc.oneof(
  maybe(durationArbitrary).map((intervalMs) => ({ intervalMs, cron: null })),
  fc
    .record({
      expression: fc.constantFrom("* * * * *", "30 3 * * 1-5", "*/10 0 12 1,15 jan-jun *"),
      timeZone: maybe(fc.constantFrom("UTC", "Europe/Berlin", "+02:00"))
    })
    .map((cron) => ({ intervalMs: null, cron }))
)

const configArbitrary = fc
  .record({ senses: namesArbitrary, workflows: namesArbitrary, agents: namesArbitrary })
  .chain((names) =>
    fc.record({
      senses: fc.tuple(
        ...names.senses.map((name, index) =>
          fc
            .record({
              name: fc.constant(name),
              group: fc.oneof(fc.constant(name), nameArbitrary),
              timing: timingArbitrary,
              catchUp: fc.constantFrom("once", "skip", "all"),
              throttleMs: maybe(durationArbitrary),
              timeoutMs: durationArbitrary,
              gracePeriodMs: fc.oneof(fc.constant(0), durationArbitrary),
              // Only earlier ones: no cycles.
              on: fc.subarray(names.senses.slice(0, index))
            })
            .map(({ timing, ...sense }) => ({ ...sense, ...timing }))
        )
      ),
      workflows: fc.tuple(
        ...names.workflows.map((name) =>
          fc
            .record({
              name: fc.constant(name),
              concurrency: fc.integer({ min: 1, max: 1_000 }),
              onChange: fc.constantFrom("finish-on-old", "resume-on-new-code", "interrupt"),
              budget: fc.constantFrom(
                null,
                { tokens: 1, costUsd: null },
                { tokens: null, costUsd: 0.5 },
                { tokens: 9, costUsd: 3 }
              )
            })
            .chain((workflow) =>
              fc.oneof(
                fc.constant({ ...workflow, overflow: "drop", maxQueue: 100 }),
                fc.integer({ min: 1, max: 100_000 }).map((maxQueue) => ({ ...workflow, overflow: "queue", maxQueue }))
              )
            )
        )
      ),
      maxRounds: fc.integer({ min: 1, max: 10_000 }),
      log: fc.record({
        archiveAfter: fc.integer({ min: 86_400_000, max: 3650 * 86_400_000 }),
        keep: maybe(fc.integer({ min: 86_400_000, max: 36_500 * 86_400_000 }))
      }),
      api: maybe(
        fc.record({
          host: fc.constantFrom("127.0.0.1", "0.0.0.0", "::1", "example.org"),
          port: fc.integer({ min: 0, max: 65_535 }),
          token: fc.stringMatching(/^[!-~]{1,20}$/)
        })
      ),
      extract: maybe(fc.record({ provider: wordArbitrary, model: wordArbitrary })),
      agents: fc.tuple(
        ...names.agents.map((name) =>
          fc.record({
            name: fc.constant(name),
            type: fc.constantFrom("openai", "command", "cursor-agent", "hermes", "scripted"),
            model: maybe(wordArbitrary),
            timeoutMs: maybe(durationArbitrary)
          })
        )
      ),
      env: fc.uniqueArray(fc.stringMatching(/^[A-Z_][A-Z0-9_]{0,10}$/), { maxLength: 4 }),
      watch: fc.constantFrom<Watch>("auto", "poll", "never")
    })
  )
  .map(Schema.decodeUnknownSync(NerveConfig))

/** The configuration as a user would write it. */
const print = (config: NerveConfig, flow: boolean): string => {
  const text = (milliseconds: number | null) => (milliseconds === null ? null : DurationText.format(milliseconds))
  const byName = <A extends { readonly name: string }>(entries: ReadonlyArray<A>, print: (entry: A) => object) =>
    new Map(entries.map((entry) => [entry.name, print(entry)]))
  return stringify(
    {
      senses: byName(config.senses, (sense) => ({
        ...(sense.group === String(sense.name) ? {} : { group: sense.group }),
        interval: text(sense.intervalMs),
        cron: sense.cron?.expression ?? null,
        time_zone: sense.cron?.timeZone ?? null,
        catch_up: sense.catchUp,
        throttle: text(sense.throttleMs),
        timeout: text(sense.timeoutMs),
        grace_period: text(sense.gracePeriodMs),
        on: sense.on
      })),
      workflows: byName(config.workflows, ({ budget, concurrency, maxQueue, onChange, overflow }) => ({
        concurrency,
        overflow,
        on_change: onChange,
        ...(typeof budget?.tokens === "number" ? { token_budget: budget.tokens } : {}),
        ...(typeof budget?.costUsd === "number" ? { cost_budget: budget.costUsd } : {}),
        ...(overflow === "queue" ? { max_queue: maxQueue } : {})
      })),
      max_rounds: config.maxRounds,
      log: { archive_after: text(config.log.archiveAfter), keep: text(config.log.keep) },
      api: config.api,
      extract: config.extract,
      agents: byName(config.agents, ({ model, timeoutMs, type }) => ({ type, model, timeout: text(timeoutMs) })),
      env: config.env,
      watch: config.watch
    },
    { collectionStyle: flow ? "flow" : "any", aliasDuplicateObjects: false }
  )
}

describe("properties", () => {
  it("any configuration that is written as YAML is read back", () => {
    fc.assert(
      fc.property(configArbitrary, fc.boolean(), (config, flow) => {
        assert.deepStrictEqual(parse(print(config, flow)), Result.succeed(config))
      }),
      { numRuns: 100 }
    )
  })

  it("any text gets an answer, with places inside the text", () => {
    const fragment = fc.oneof(
      fc.constantFrom(
        "senses",
        "a",
        "on",
        "interval",
        ": ",
        ":",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "\n",
        "\n  ",
        "\n    ",
        "10s"
      ),
      fc.constantFrom(
        "\t",
        "&a ",
        "*a",
        "!x ",
        "? ",
        "'",
        '"',
        "|",
        ">",
        "#",
        "%",
        "---\n",
        "\r\n",
        "\u0000",
        "\uFEFF",
        "~"
      ),
      fc.string({ maxLength: 3 })
    )
    fc.assert(
      fc.property(
        fc.array(fragment, { maxLength: 40 }).map((parts) => parts.join("")),
        (text) => {
          const parsed = parse(text)
          if (Result.isSuccess(parsed)) return
          const lines = text.replace(/^\uFEFF/, "").split("\n")
          assert.isNotEmpty(parsed.failure.problems)
          for (const { column, line } of parsed.failure.problems) {
            assert.isAtLeast(line, 1)
            assert.isAtMost(line, lines.length)
            assert.isAtLeast(column, 1)
            assert.isAtMost(column, (lines[line - 1] ?? "").length + 1)
          }
        }
      ),
      { numRuns: 2_000 }
    )
  })
})

describe("hostile input", () => {
  const manyKeys = (prefix: string) => Array.from({ length: 40_000 }, (_, i) => `${prefix}s${i}: {}`).join("\n")

  it("of 40 000 good keys is read, in seconds at most", { timeout: 120_000 }, () => {
    assert.strictEqual(config(`senses:\n${manyKeys("  ")}`).senses.length, 40_000)
  })

  it("of 40 000 wrong keys gives the first hundred problems and the number of the others", () => {
    const { omitted, problems } = failure(manyKeys(""))
    assert.deepStrictEqual([problems.length, omitted], [100, 39_900])
  })

  it("of 20 000 unknown names among 20 000 known ones is answered in seconds at most", { timeout: 120_000 }, () => {
    const text = Array.from({ length: 20_000 }, (_, i) => `  sense-${i}: {on: [sensor-${i}]}`).join("\n")
    assert.strictEqual(failure(`senses:\n${text}`).omitted, 19_900)
  })

  it("of one chain or one ring of 20 000 senses does not overflow", () => {
    const chain = Array.from({ length: 20_000 }, (_, i) => `  s${i}: {on: [s${i + 1}]}`).join("\n")
    assert.strictEqual(config(`senses:\n${chain}\n  s20000:`).senses.length, 20_001)
    assert.include(
      linesOf(`senses:\n${chain}\n  s20000: {on: [s0]}`).join("\n"),
      "s0 -> s20000 -> s19999 -> s19998 -> ..."
    )
  })

  it("of an alias bomb expands nothing", () => {
    const bomb = Array.from({ length: 40 }, (_, i) => `b${i}: &b${i} [*b${i - 1}, *b${i - 1}]`).join("\n")
    const first = problemsOf(`env: &b-1 [A, A]\n${bomb}`).find(({ message }) => message.startsWith("aliases"))
    assert.deepStrictEqual([first?.line, first?.column, first?.key], [2, 10, "b0[0]"])
  })

  it.each([
    ["brackets", "[".repeat(5_000), 65],
    ["braces", "{a: ".repeat(5_000), 257],
    ["dashes", "- ".repeat(5_000), 129],
    ["complex keys", "? ".repeat(5_000), 129]
  ])("of 5 000 nested levels by %s is refused at the first that is too deep", (_, text, column) => {
    assert.deepStrictEqual(
      problemsOf(text).map((problem) => [problem.message, problem.column]),
      [["nested too deeply", column]]
    )
  })

  it("of 2 MB is refused unread", () => {
    assert.deepStrictEqual(linesOf("#".repeat(2_000_000)), [
      "1:1  the file is too large (2000000 characters); expected at most 1000000 characters"
    ])
  })

  it("of keys that JavaScript's objects have finds no way in", () => {
    const text =
      "__proto__: {max_rounds: 5}\nsenses:\n  __proto__: {interval: 1s}\n  constructor: {}\n  a: {toString: 1}\n"
    assert.deepStrictEqual(
      problemsOf(text).map(({ column, key, line }) => `${line}:${column} ${key}`),
      ["1:1 __proto__", "3:3 senses.__proto__", "5:7 senses.a.toString"]
    )
    assert.isUndefined(Reflect.get({}, "max_rounds"))
  })

  it("of thousands of tags, quotes and brackets is linear", { timeout: 120_000 }, () => {
    assert.strictEqual(failure(`env: [${"!x A, ".repeat(50_000)}]`).omitted, 49_900)
    assert.strictEqual(problemsOf("]".repeat(50_000)).length, 1)
    assert.strictEqual(problemsOf('"'.repeat(50_000)).length > 0, true)
  })
})
