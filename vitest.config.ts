import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["packages/*/test/**/*.test.ts", "examples/*/test/**/*.test.ts", "scripts/test/**/*.test.ts"],
    globalSetup: ["scripts/vitestSetup.ts"],
    testTimeout: 30_000
  }
})
