/**
 * Adapters that run a command-line agent (W3). The command is started without a shell, in the
 * workspace, with the worker's environment; its whole process group is gone when the adapter has
 * answered, failed, timed out or been interrupted.
 *
 * How it is run is in `internal/runCommand.ts`, which is loaded with the first run: starting a worker
 * does not pay for it.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import { type Adapter, make, type Reply, type Request, transcript } from "./Contract.ts"

export interface CommandOptions {
  /** Name of the adapter in messages; the command's unless told. */
  readonly name?: string
  /** Executable: a name looked up in PATH, or a path. */
  readonly command: string
  /** Arguments, passed as they are: no shell sees them. */
  readonly args?: ReadonlyArray<string> | ((request: Request) => ReadonlyArray<string>)
  /**
   * What the command reads: the prompt, the conversation with the prompt, or nothing. `prompt` unless
   * told.
   */
  readonly stdin?: "prompt" | "transcript" | "none"
  /** Then the process group is stopped and the adapter fails. 10 minutes unless told. */
  readonly timeout?: Duration.Input
  /** How long after SIGTERM the process group gets SIGKILL. 2 seconds unless told. */
  readonly forceKillAfter?: Duration.Input
  /** The workspace unless told. */
  readonly cwd?: string
  /** Goes on top of the worker's environment; undefined takes a variable away. */
  readonly env?: Readonly<Record<string, string | Redacted.Redacted<string> | undefined>>
  /** Bytes of stdout to keep; what goes beyond is counted and left out. 100 000 unless told. */
  readonly maxOutput?: number
  /** Makes the reply from stdout. Unless told: stdout without blank space around it. */
  readonly parse?: (stdout: string) => string | Reply
}

/** Runs any command-line agent. Exit code 0 is an answer, anything else is AdapterFailed. */
export const command = (options: CommandOptions): Adapter =>
  make(options.name ?? options.command, (request) =>
    Effect.flatMap(
      Effect.promise(() => import("../internal/runCommand.ts")),
      (module) => module.runCommand(options, request)
    )
  )

/** Settings of a ready-made agent. */
export interface AgentCommandOptions {
  /** The agent's own default unless told. */
  readonly model?: string
  /** 10 minutes unless told. */
  readonly timeout?: Duration.Input
  /** Another name or path of the executable. */
  readonly command?: string
  /** Arguments before the prompt, in place of the usual ones. */
  readonly args?: ReadonlyArray<string>
  /** The workspace unless told. */
  readonly cwd?: string
  /** Goes on top of the worker's environment; undefined takes a variable away. */
  readonly env?: Readonly<Record<string, string | Redacted.Redacted<string> | undefined>>
}

const agentCommand =
  (
    name: string,
    defaults: {
      readonly args: ReadonlyArray<string>
      readonly modelFlag: string
      readonly promptFlag: ReadonlyArray<string>
    }
  ) =>
  (options: AgentCommandOptions = {}): Adapter => {
    const { args, command: executable, model, ...rest } = options
    return command({
      ...rest,
      name,
      command: executable ?? name,
      stdin: "none",
      args: (request) => [
        ...(args ?? defaults.args),
        ...(model === undefined ? [] : [defaults.modelFlag, model]),
        ...defaults.promptFlag,
        transcript(request)
      ]
    })
  }

/**
 * Cursor's agent: `cursor-agent -p --output-format text [--model m] PROMPT`. It reads files and
 * answers; to let it act unasked, pass `args: ["-p", "--output-format", "text", "--force"]`.
 */
export const makeCursorAgent: (options?: AgentCommandOptions) => Adapter = agentCommand("cursor-agent", {
  args: ["-p", "--output-format", "text"],
  modelFlag: "--model",
  promptFlag: []
})

/** `makeCursorAgent` with the agent's own settings. */
export const cursorAgent: Adapter = makeCursorAgent()

/**
 * Nous Research's hermes agent, in its form for scripts: `hermes [--model m] -z PROMPT`, which
 * prints the final answer and nothing else.
 */
export const makeHermes: (options?: AgentCommandOptions) => Adapter = agentCommand("hermes", {
  args: [],
  modelFlag: "--model",
  promptFlag: ["-z"]
})

/** `makeHermes` with the agent's own settings. */
export const hermes: Adapter = makeHermes()
