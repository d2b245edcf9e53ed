import { defineConfig } from 'vitest/config';

// Most of it is waiting: more files at once than there are processors.
export default defineConfig({
  test: { include: ['test/platforms/**/*.test.ts'], testTimeout: 20_000, maxWorkers: 4 },
});
