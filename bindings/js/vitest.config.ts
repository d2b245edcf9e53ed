import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { alias: { '#host': fileURLToPath(new URL('./src/host/default.node.ts', import.meta.url)) } },
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/browser/**', 'test/builds/**', 'test/bundlers/**', 'test/platforms/**'],
    testTimeout: 20_000,
    typecheck: { include: ['test/**/*.test-d.ts'] },
  },
});
