import { defineConfig } from 'vitest/config';

// The examples as their tools have built them. One after the other: what is built names one server.
export default defineConfig({ test: { include: ['test/builds/**/*.test.ts'], testTimeout: 20_000, maxWorkers: 1, fileParallelism: false } });
