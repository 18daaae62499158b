/**
 * Finds and loads the modules that users write: senses and workflows. Whatever can be wrong with one
 * becomes a `Problem` that names the file and says what to do (S8). It knows nothing of what the
 * module's export does.
 */
import * as Sense from "@nerve/core/authoring/Sense"
import * as Workflow from "@nerve/core/authoring/Workflow"
import type { Problem } from "@nerve/core/domain/Problem"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { statSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import * as UserError from "./UserError.ts"

/** What a module's default export is to be. */
export type Kind = "sense" | "workflow"

/** The folders of a workspace that hold user modules. */
export type Folder = "senses" | "workflows"

export interface LoadOptions<A> {
  /** Absolute path; file names in problems are relative to it. */
  readonly workspace: string
  readonly kind: Kind
  readonly is: (value: unknown) => value is A
  /** Another version is imported anew; Node keeps every version it has loaded. */
  readonly version?: string | undefined
}

/**
 * How a module is imported, given its URL. Node's own `import` unless replaced: a test runner that
 * rewrites `import` in its sources would load user code by other rules than a worker does.
 */
export const Importer = Context.Reference<(url: string) => Promise<unknown>>("@nerve/node/user/UserModule/Importer", {
  defaultValue: () => (url) => import(url)
})

/** Extensions that Node runs by itself, in the order in which they are looked for. */
const extensions = ["ts", "mts", "js", "mjs"]

/**
 * A top-level `await` that never ends must not keep the other senses of its worker from becoming
 * ready: well below the ten seconds that a worker has for that.
 */
const importTimeout = Duration.seconds(5)

/**
 * The file, relative to the workspace, of a sense or workflow: `senses/<name>/index.ts` or
 * `senses/<name>.ts`, or the same with `.mts`, `.js`, `.mjs`. More than one of them is a problem.
 */
export const locate = (workspace: string, folder: Folder, name: string): Effect.Effect<string, Problem> =>
  Effect.suspend(() => {
    const candidates = [`${folder}/${name}/index`, `${folder}/${name}`].flatMap((base) =>
      extensions.map((extension) => `${base}.${extension}`)
    )
    const [first, ...others] = candidates.filter((file) => isFile(join(workspace, file)))
    const expected = `${folder}/${name}/index.ts`
    const kind = folder === "senses" ? "sense" : "workflow"
    if (first === undefined) {
      return Effect.fail(
        problem(
          "module-missing",
          expected,
          `the ${kind} ${name} has no module: there is neither ${expected} nor ${folder}/${name}.ts`,
          `Create ${expected} (.mts, .js and .mjs do as well), or take ${name} out of nerve.yaml.`
        )
      )
    }
    if (others.length > 0) {
      return Effect.fail(
        problem(
          "module-ambiguous",
          first,
          `the ${kind} ${name} has more than one module: ${[first, ...others].join(", ")}`,
          "Keep one of them."
        )
      )
    }
    return Effect.succeed(first)
  })

/** Imports a file (relative to the workspace) and hands over its default export. */
export const load = Effect.fnUntraced(function* <A>(
  file: string,
  options: LoadOptions<A>
): Effect.fn.Return<A, Problem> {
  const path = join(options.workspace, file)
  if (!isFile(path)) {
    return yield* Effect.fail(problem("module-missing", file, `${file} does not exist`))
  }
  const importModule = yield* Importer
  const url = pathToFileURL(path)
  if (options.version !== undefined) url.searchParams.set("v", options.version)
  const module = yield* Effect.tryPromise({
    try: () => importModule(url.href),
    catch: (error) => importProblem(file, error, options.workspace)
  }).pipe(
    Effect.timeoutOrElse({
      duration: importTimeout,
      orElse: () => Effect.fail(unfinished(file))
    })
  )
  return yield* defaultExport(file, module, options)
})

const defaultExport = <A>(file: string, module: unknown, options: LoadOptions<A>): Effect.Effect<A, Problem> => {
  const maker = options.kind === "sense" ? "Sense.make" : "Workflow.make"
  const names = typeof module === "object" && module !== null ? Object.keys(module) : []
  if (typeof module !== "object" || module === null || !("default" in module)) {
    const named = names.length === 0 ? "it exports nothing" : `it exports only ${names.join(", ")}`
    return Effect.fail(
      problem(
        "export-missing",
        file,
        `${file} has no default export: ${named}`,
        `Write: export default ${maker}({ … })`
      )
    )
  }
  const value: unknown = module.default
  if (options.is(value)) return Effect.succeed(value)
  return Effect.fail(
    problem(
      "wrong-shape",
      file,
      `the default export of ${file} is ${shapeOf(value)}, not a ${options.kind}`,
      `Export what ${maker} returns.`
    )
  )
}

const shapeOf = (value: unknown): string => {
  if (Sense.isSense(value)) return "a sense"
  if (Workflow.isWorkflow(value)) return "a workflow"
  if (Effect.isEffect(value)) return "an Effect"
  return UserError.kindOf(value)
}

const importProblem = (file: string, error: unknown, workspace: string): Problem => {
  const { message, stack } = UserError.describe(error, workspace)
  const code = property(error, "code")
  const at = sourceLine(error, workspace)
  // The fault may be in a file that this one imports.
  const faulty = at?.replace(/:\d+$/, "") ?? file
  if (code === "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX") {
    return problem(
      "syntax-error",
      faulty,
      `${at ?? file}: ${plain(message)}`,
      "Node only strips types: enums, namespaces and parameter properties have to be written otherwise."
    )
  }
  const text = plain(message)
  if (error instanceof SyntaxError || property(error, "name") === "SyntaxError") {
    if (text.includes("does not provide an export named")) {
      return problem("import-failed", faulty, `${at ?? file}: ${text}`, "For a type, write `import type`.")
    }
    // A SyntaxError with a frame in user code was thrown there, by JSON.parse for instance.
    if (stack === null) return problem("syntax-error", faulty, `${at ?? file}: ${text}`)
  }
  if (code === "ERR_MODULE_NOT_FOUND") {
    return problem(
      "import-failed",
      file,
      `${file} cannot be imported: ${text}`,
      text.includes("package") ? "Install the package in the workspace." : "Imports name the file with its extension."
    )
  }
  const where = stack === null ? "" : ` (${stack.split("\n")[0] ?? ""})`
  return problem("import-failed", file, `${file} threw while it was imported: ${message}${where}`)
}

const unfinished = (file: string): Problem =>
  problem(
    "import-failed",
    file,
    `${file} did not finish importing within ${Duration.format(importTimeout)}`,
    "A top-level `await` that never ends? Do slow things in the compute instead."
  )

/** Where a syntax error is, from the line that Node puts before its stack: `senses/cpu/index.ts:2`. */
const sourceLine = (error: unknown, workspace: string): string | undefined => {
  const first = property(error, "stack")?.split("\n")[0]?.trim() ?? ""
  return /^(?:file:|\/).*:\d+$/.test(first) ? UserError.relative(first, workspace) : undefined
}

/** Without the name of Node's error class, which says nothing that the code of the problem does not. */
const plain = (message: string): string => message.replace(/^\w*Error: /, "")

const property = (value: unknown, key: "code" | "name" | "stack"): string | undefined => {
  if (typeof value !== "object" || value === null) return undefined
  const found: unknown = Reflect.get(value, key)
  return typeof found === "string" ? found : undefined
}

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false

const problem = (code: string, file: string, message: string, hint = ""): Problem => ({ code, message, file, hint })
