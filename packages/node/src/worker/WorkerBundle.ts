/**
 * Makes a worker's module and all that it imports one file: `WorkerSpec.module` starts it as it is, with nothing to look
 * for, to strip or to share. Of Effect it holds what the worker uses, so it boots in half the time and takes half as much
 * memory as the module itself (docs/supervision.md, "Bundled workers").
 *
 * The bundler is esbuild, which is not a dependency of nerve: whoever bundles installs it.
 */
import * as Frame from "@nerve/core/wire/Frame"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Esbuild from "esbuild"
import type { BuildFailure, BuildOptions, BuildResult, OutputFile } from "esbuild"
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { createRequire } from "node:module"
import { dirname, resolve } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import * as barrelImports from "./barrelImports.ts"
import * as bundleMark from "./bundleMark.ts"

/** esbuild is not installed: neither beside the entry nor beside nerve. */
export class EsbuildMissing extends Schema.TaggedError<EsbuildMissing>()("EsbuildMissing", {
  message: Schema.String
}) {}

/** What is wrong, where. */
export const Problem = Schema.Struct({
  text: Schema.String,
  /** Null where it is about no file. Lines count from 1, columns from 0. */
  at: Schema.NullOr(Schema.Struct({ file: Schema.String, line: Schema.Int, column: Schema.Int }))
})
export type Problem = typeof Problem.Type

/** The module cannot be bundled: it is not there, does not parse, imports what is not there, or cannot be written. */
export class BundleFailed extends Schema.TaggedError<BundleFailed>()("BundleFailed", {
  /** Path of the worker's module. */
  entry: Schema.String,
  /** All problems as text, one a line. */
  message: Schema.String,
  problems: Schema.Array(Problem)
}) {}

export interface Options {
  /** The worker's module: URL or path. Its default export is what `Worker.serve` gives. */
  readonly entry: URL | string
  /** The file to write: URL or path. Its name ends in `.mjs`; its folder is made. */
  readonly outfile: URL | string
  /**
   * Packages that are left out, and loaded from `node_modules` at run time, as seen from `outfile`: those with native
   * code, and those that read files beside their own. `name` stands for `name/…` too; `*` for anything.
   */
  readonly external?: ReadonlyArray<string>
  /**
   * Whether `OUTFILE.map` is written too (true unless told), so that stacks name the worker's own files and lines.
   * Packages are left out of it.
   */
  readonly sourceMap?: boolean
}

/** What was written. */
export interface Bundle {
  readonly file: string
  /** Path of the source map; null without one. */
  readonly map: string | null
  /** Length of the file. */
  readonly bytes: number
  /** Paths of all files that went into it. Who bundles on change watches these. */
  readonly inputs: ReadonlyArray<string>
}

/** Bundles a worker. The file is replaced at once, so that a worker that starts meanwhile runs the old one or the new. */
export const build = Effect.fn("WorkerBundle.build")(function* (
  options: Options
): Effect.fn.Return<Bundle, EsbuildMissing | BundleFailed> {
  const entry = pathOf(options.entry)
  const file = pathOf(options.outfile)
  if (!file.endsWith(".mjs")) return yield* failed(entry, `the bundle is an ES module: ${file} must end in .mjs`)
  const esbuild = yield* load(entry)
  const runtime = yield* runtimeFor(entry)
  const run = (shape: Shape) =>
    Effect.tryPromise({
      try: () => esbuild(settings(options, { entry, file, runtime }, shape)),
      catch: (error) => ofFailure(entry, error)
    })
  const plain = yield* run({ banner: mark, define: notMain })
  const result = hasCommonJs(plain) ? yield* run(withCommonJs) : plain
  const inputs = Object.keys(result.metafile.inputs).flatMap((path) =>
    path.startsWith("<") ? [] : [resolve(dirname(entry), path)]
  )
  const copies = effectCopies(inputs)
  if (copies.length > 1) return yield* failed(entry, twoCopies(copies))
  return yield* Effect.try({
    try: () => write(result.outputFiles, file, inputs),
    catch: (error) => failed(entry, error instanceof Error ? error.message : String(error))
  })
})

// --- esbuild -----------------------------------------------------------------------------------------

type Build = (options: BuildOptions & { readonly write: false; readonly metafile: true }) => Promise<Result>
type Result = BuildResult<{ write: false; metafile: true }>

const pathOf = (place: URL | string): string =>
  place instanceof URL || place.startsWith("file:") ? fileURLToPath(place) : resolve(place)

const failed = (entry: string, text: string): BundleFailed =>
  new BundleFailed({ entry, message: `${entry} cannot be bundled: ${text}`, problems: [{ text, at: null }] })

/** Where Node finds a module, seen from the entry, else from here; undefined where it is in neither place. */
const find = (specifier: string, entry: string): string | undefined => {
  for (const from of [entry, fileURLToPath(import.meta.url)]) {
    try {
      return createRequire(from).resolve(specifier)
    } catch {
      // Not there: the next place.
    }
  }
  return undefined
}

const missing = new EsbuildMissing({
  message: "bundling a worker needs esbuild, which is not installed: npm install --save-dev esbuild"
})

/** Loaded when it is needed: who never bundles needs no esbuild. */
const load = (entry: string): Effect.Effect<Build, EsbuildMissing> =>
  Effect.gen(function* () {
    const found = find("esbuild", entry)
    if (found === undefined) return yield* missing
    const module = yield* Effect.tryPromise({
      try: (): Promise<typeof Esbuild> => import(pathToFileURL(found).href),
      catch: (error) =>
        new EsbuildMissing({ message: `esbuild is installed in ${found}, and cannot be loaded: ${String(error)}` })
    })
    return module.build
  })

/** nerve's own part of a bundle, of the version that the entry's package has: its Spawner is to start it. */
const runtimeFor = (entry: string): Effect.Effect<string, BundleFailed> => {
  const found = find("@nerve/node/worker/bundledWorker", entry)
  return found === undefined
    ? Effect.fail(failed(entry, "@nerve/node is not installed beside it"))
    : Effect.succeed(found)
}

const settings = (
  { external, sourceMap }: Options,
  { entry, file, runtime }: Readonly<Record<"entry" | "file" | "runtime", string>>,
  { banner, define }: Shape
) =>
  ({
    // In this order: what nerve does first comes first in the file.
    stdin: {
      contents: `import { serve } from ${JSON.stringify(runtime)}\nimport program from ${JSON.stringify(entry)}\nserve(program)`,
      resolveDir: dirname(entry),
      sourcefile: "<nerve>"
    },
    absWorkingDir: dirname(entry),
    outfile: file,
    external: [...(external ?? [])],
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node22",
    // Names stay: they are in stacks, and an error may go by that of its class.
    minifySyntax: true,
    minifyWhitespace: true,
    // Node prints the line of an error that nobody caught.
    lineLimit: 200,
    sourcemap: sourceMap === false ? false : "linked",
    sourcesContent: false,
    banner: { js: banner },
    define,
    plugins: [directImports, packagesUnmapped],
    write: false,
    metafile: true,
    logLevel: "silent"
  }) satisfies BuildOptions

/** As in `barrelImports`. Packages are taken as they are. A plugin of esbuild speaks in promises. */
const directImports: Esbuild.Plugin = {
  name: "direct-imports",
  setup: ({ onLoad, resolve: find }) => {
    const known = new Map<string, barrelImports.Members>()
    const membersAt = async (barrel: string): Promise<barrelImports.Members> => {
      const members =
        known.get(barrel) ??
        barrelImports.membersOf(await readFile(barrel, "utf8"), (path) => resolve(dirname(barrel), path))
      known.set(barrel, members)
      return members
    }
    onLoad({ filter: /\.[cm]?[jt]sx?$/ }, async ({ namespace, path }) => {
      if (namespace !== "file" || path.includes("/node_modules/")) return undefined
      const text = await readFile(path, "utf8")
      const members = new Map<string, barrelImports.Members>()
      for (const specifier of barrelImports.specifiersIn(text)) {
        const found = await find(specifier, { kind: "import-statement", resolveDir: dirname(path) })
        if (found.errors.length === 0 && !found.external) members.set(specifier, await membersAt(found.path))
      }
      const contents = barrelImports.rewrite(text, (specifier) => members.get(specifier))
      return contents === undefined ? undefined : { contents, loader: "default" }
    })
  }
}

/** One place that no file has, 30 million columns to the right: esbuild takes what is in no place for unmapped. */
const nowhere = `//# sourceMappingURL=data:application/json,${encodeURIComponent('{"version":3,"sources":[""],"mappings":"gggggCAAA"}')}`

/**
 * Packages are left out of the map: nobody looks for a mistake of his own there, and a map of all of Effect takes 50 ms
 * and 8 MB to read, that of the user's files alone next to nothing.
 */
const packagesUnmapped: Esbuild.Plugin = {
  name: "packages-unmapped",
  setup: ({ initialOptions, onLoad }) => {
    if (initialOptions.sourcemap === false) return
    onLoad({ filter: /\/node_modules\/.*\.[cm]?[jt]sx?$/, namespace: "file" }, async ({ path }) => ({
      contents: `${await readFile(path, "utf8")}\n${nowhere}`,
      loader: "default"
    }))
  }
}

const hasCommonJs = ({ metafile }: Result): boolean =>
  Object.values(metafile.inputs).some(({ format }) => format === "cjs")

/** What a bundle begins with, and what stands for names in it. */
interface Shape {
  readonly banner: string
  readonly define: Record<string, string>
}

const mark = bundleMark.line(Frame.protocolVersion)

/** A worker's module is imported. The bundle is what Node starts, and would say of all files in it that they are. */
const notMain = { "import.meta.main": "false" }

/**
 * With what CommonJS modules expect to be there. It costs a start a little, so only bundles that have some hold it. The
 * names are ours: an ES module may have a `__filename` of its own.
 */
const withCommonJs: Shape = {
  banner:
    `${mark}\nconst require=process.getBuiltinModule("node:module").createRequire(import.meta.url),` +
    `__nerveFilename=import.meta.filename,__nerveDirname=import.meta.dirname;`,
  define: { ...notMain, __filename: "__nerveFilename", __dirname: "__nerveDirname" }
}

const isBuildFailure = (error: unknown): error is BuildFailure =>
  error instanceof Error && "errors" in error && Array.isArray(error.errors)

const ofFailure = (entry: string, error: unknown): BundleFailed => {
  if (!isBuildFailure(error)) return failed(entry, error instanceof Error ? error.message : String(error))
  const problems = error.errors.map(({ location, text }): Problem => ({
    text: text.includes('for ".node" files') ? `${text}; name its package in \`external\`` : text,
    at:
      location === null || location.file === "<nerve>"
        ? null
        : { file: resolve(dirname(entry), location.file), line: location.line, column: location.column }
  }))
  const lines = problems.map(({ at, text }) => (at === null ? text : `${at.file}:${at.line}:${at.column + 1} ${text}`))
  return new BundleFailed({ entry, message: `${entry} cannot be bundled: ${lines.join("\n  ")}`, problems })
}

// --- what came of it ---------------------------------------------------------------------------------

/** The folders that Effect came from. Schemas of two copies do not get along. */
const effectCopies = (inputs: ReadonlyArray<string>): ReadonlyArray<string> => [
  ...new Set(inputs.flatMap((path) => /^.*\/node_modules\/effect(?=\/)/.exec(path)?.[0] ?? []))
]

const twoCopies = (copies: ReadonlyArray<string>): string =>
  `it would hold ${copies.length} copies of Effect, which do not get along; have one version of it: ${copies.join(", ")}`

/** Through a file beside it: whoever reads it meets the old one or the new one. */
const replace = (file: string, text: string): void => {
  const beside = `${file}.${process.pid}`
  try {
    writeFileSync(beside, text)
    renameSync(beside, file)
  } catch (error) {
    rmSync(beside, { force: true })
    throw error
  }
}

const write = (outputs: ReadonlyArray<OutputFile>, file: string, inputs: ReadonlyArray<string>): Bundle => {
  const code = outputs.find(({ path }) => !path.endsWith(".map"))
  const map = outputs.find(({ path }) => path.endsWith(".map"))
  if (code === undefined) throw new Error("esbuild gave no file")
  mkdirSync(dirname(file), { recursive: true })
  // The map first: a worker that starts in between has the lines of its stacks wrong, and no more.
  if (map === undefined) rmSync(`${file}.map`, { force: true })
  else replace(`${file}.map`, map.text)
  replace(file, code.text)
  return { file, map: map === undefined ? null : `${file}.map`, bytes: code.contents.length, inputs }
}
