/**
 * Lets a module be loaded anew in a process that has loaded it before. Node keeps every module by its URL
 * for good, so a reload imports the module under a URL of its own (`?v=2`, see `UserModule`); this hook
 * hands the query on to all that the module imports, near and far, so that none of it is of before.
 * Packages keep their URL: they are not what is being edited, and may hold what must be there once.
 *
 * What was loaded before stays in memory: whoever reloads bounds how often.
 */
import { fileURLToPath } from "node:url"
import { nodeModule } from "./builtins.ts"

const require = nodeModule.createRequire(import.meta.url)

/** The bundle itself, which hands some of its files on to user code. */
const bundle = new URL(".", import.meta.url).href

/** The version that a module was imported under. */
const versionOf = (url: string | undefined): string | null =>
  url?.startsWith("file:") === true && url.includes("?") ? new URL(url).searchParams.get("v") : null

/** Installs the hook. Before those that look at what is imported: the last to be installed is asked first. */
export const install = (): void => {
  nodeModule.registerHooks({
    resolve: (specifier, context, next) => {
      const resolved = next(specifier, context)
      const version = versionOf(context.parentURL)
      if (version === null || !resolved.url.startsWith("file:")) return resolved
      if (resolved.url.includes("?") || resolved.url.includes("/node_modules/")) return resolved
      if (resolved.url.startsWith(bundle)) return resolved
      // CommonJS is kept by file name, whatever the URL.
      if (resolved.format === "commonjs") delete require.cache[fileURLToPath(resolved.url)]
      return { ...resolved, url: `${resolved.url}?v=${encodeURIComponent(version)}` }
    }
  })
}
