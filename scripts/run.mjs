/**
 * `npm start`, `npm test` and `npm run check` on a machine that has only Node >= 20 and npm: installs
 * what is missing, then hands over to the project's own Node 24, which the installation brings.
 *
 * Plain JavaScript without dependencies, because nothing is installed when it starts. Whatever it has
 * to say goes to stderr: stdout belongs to the command that it runs.
 */
import { spawn, spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { constants } from "node:os"
import { delimiter, dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

/** The pnpm that wrote the lockfile. */
const pnpm = "pnpm@12.21.0"
const root = dirname(dirname(fileURLToPath(import.meta.url)))
const bin = join(root, "node_modules", ".bin")
const node = join(bin, "node")
const stampFile = join(root, "node_modules", ".nerve-installed")
const demo = join("examples", "machine-watch")

const say = (text) => process.stderr.write(`${text}\n`)
const fail = (text) => {
  say(text)
  process.exit(1)
}

const subfolders = (folder) =>
  existsSync(join(root, folder))
    ? readdirSync(join(root, folder), { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => join(folder, entry.name))
    : []

/** Changes whenever what has to be installed changes. Contents, not times: a checkout touches times. */
const wanted = () => {
  const files = [
    "package.json",
    "pnpm-lock.yaml",
    "pnpm-workspace.yaml",
    ...[...subfolders("packages"), ...subfolders("examples"), "scripts"].map((folder) => join(folder, "package.json")),
    ...readdirSync(join(root, "patches")).map((name) => join("patches", name))
  ]
  const hash = createHash("sha256").update(`${pnpm} ${process.platform} ${process.arch}`)
  for (const file of files.toSorted()) {
    if (existsSync(join(root, file))) hash.update(`\0${file}\0`).update(readFileSync(join(root, file)))
  }
  return hash.digest("hex")
}

const isInstalled = (stamp) =>
  existsSync(node) && existsSync(stampFile) && readFileSync(stampFile, "utf8").trim() === stamp

/** Without a network, say so after seconds: npm's and pnpm's own waits between retries add up to minutes. */
const retries = {
  npm: {
    npm_config_fetch_retries: "2",
    npm_config_fetch_retry_mintimeout: "1000",
    npm_config_fetch_retry_maxtimeout: "5000"
  },
  pnpm: ["--config.fetchRetries=2", "--config.fetchRetryMintimeout=1000", "--config.fetchRetryMaxtimeout=5000"]
}

const install = () => {
  const stamp = wanted()
  if (isInstalled(stamp)) return
  say("nerve: installing what is missing (once; needs the network) …")
  rmSync(stampFile, { force: true })
  const result = spawnSync(
    "npx",
    ["--yes", pnpm, "install", "--frozen-lockfile", "--config.confirmModulesPurge=false", ...retries.pnpm],
    {
      cwd: root,
      encoding: "utf8",
      env: { ...process.env, ...retries.npm },
      maxBuffer: 64 * 1024 * 1024,
      stdio: ["ignore", "pipe", "pipe"]
    }
  )
  if (result.error?.code === "ENOENT") fail("nerve: npx was not found. Install npm, which brings it, and try again.")
  if (result.status !== 0) {
    const output = `${result.stdout ?? ""}${result.stderr ?? ""}`
    say(output.trim().split("\n").slice(-40).join("\n"))
    fail(
      /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|network|fetch failed/i.test(output)
        ? "nerve: the installation failed because the package registry was not reached. Check the network and\n" +
            "  `npm config get registry`, then run the same command again; it goes on where it stopped."
        : `nerve: the installation failed (${result.signal ?? `exit code ${result.status}`}); its last lines are above.\n` +
            "  To start over, remove node_modules and run the same command again."
    )
  }
  if (!existsSync(node)) fail("nerve: the installation brought no Node 24. Remove node_modules and try again.")
  mkdirSync(dirname(stampFile), { recursive: true })
  writeFileSync(stampFile, `${stamp}\n`)
}

/** The project's own Node and tools come first. */
const environment = () => ({ ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ""}` })

const build = () => {
  const result = spawnSync(node, [join(root, "scripts", "build.ts")], {
    cwd: root,
    env: environment(),
    stdio: ["ignore", 2, 2]
  })
  if (result.status !== 0) fail(`nerve: the build failed (${result.signal ?? `exit code ${result.status}`}).`)
}

/**
 * Runs a command in our place: its streams are ours, its exit code becomes ours, signals reach it.
 *
 * A terminal sends Ctrl-C to the whole foreground group, this child included, so SIGINT is passed on
 * only when there is no terminal. npm passes on what the group has got already: the same signal twice
 * within a second is one, for a second one tells `nerve dev` to stop without grace.
 */
const become = (command, args) => {
  const child = spawn(command, args, { cwd: root, env: environment(), stdio: "inherit" })
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    let last = -Infinity
    process.on(signal, () => {
      if (signal === "SIGINT" && process.stdin.isTTY) return
      const now = performance.now()
      if (now - last > 1000) child.kill(signal)
      last = now
    })
  }
  child.on("error", (error) => fail(`nerve: ${command} did not start: ${error.message}`))
  child.on("exit", (code, signal) => process.exit(signal === null ? (code ?? 1) : 128 + constants.signals[signal]))
}

const has = (args, flag) => args.some((arg) => arg === flag || arg.startsWith(`${flag}=`))

const commands = {
  start: (args) => {
    install()
    build()
    const workspace = has(args, "--workspace") || has(args, "-C") ? [] : ["--workspace", demo]
    become(node, [join(root, "packages", "cli", "dist", "nerve.mjs"), "dev", ...workspace, ...args])
  },
  // `npm run --silent nerve -- status`: the command line on a machine whose own Node is too old for it.
  nerve: (args) => {
    install()
    build()
    become(node, [join(root, "packages", "cli", "dist", "nerve.mjs"), ...args])
  },
  // Vitest's global setup builds.
  test: (args) => {
    install()
    become(join(bin, "vitest"), ["run", ...args])
  },
  check: (args) => {
    install()
    become(node, [join(root, "scripts", "check.ts"), ...args])
  },
  install: () => install()
}

const major = Number(process.versions.node.split(".")[0])
if (major < 20) fail(`nerve: this is Node ${process.versions.node}; Node 20 or later is needed to start.`)
if (process.platform === "win32") {
  fail(
    "nerve: Windows is not supported. Missing there: process groups and POSIX signals (the stop ladder and the\n" +
      "  cleaning up after a crash need them) and the control socket's file permissions. Use WSL 2."
  )
}
const [name, ...args] = process.argv.slice(2)
const command = commands[name]
if (command === undefined) {
  say(`usage: node scripts/run.mjs ${Object.keys(commands).join("|")} [arguments]`)
  process.exit(2)
}
command(args)
