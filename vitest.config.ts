import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["packages/*/test/**/*.test.ts", "examples/*/test/**/*.test.ts", "scripts/test/**/*.test.ts"],
    globalSetup: ["scripts/vitestSetup.ts"],
    // Twice the longest wait of a test for a process, so that the wait can say what was missing.
    testTimeout: 120_000,
    expect: { poll: { timeout: 60_000 } }
  }
})
