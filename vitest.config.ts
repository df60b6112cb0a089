import { defineConfig } from 'vitest/config'

// Three projects: everything that runs in one process; the end-to-end tests, which own network namespaces and therefore
// run one file at a time; and, before a release, the image in a machine of its own (`npm run test:appliance`).
export default defineConfig({
  test: {
    reporters: ['default', './test/closing-line.ts'],
    projects: [
      {
        test: {
          name: 'core',
          include: ['test/**/*.test.ts'],
          exclude: ['test/e2e/**', 'test/appliance/**'],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 120_000,
          // The first run makes the Debians of the boxes, and each change of the tree a release.
          hookTimeout: 600_000,
        },
      },
      {
        test: {
          name: 'appliance',
          include: ['test/appliance/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 600_000,
          // The Debian below the image takes ten minutes when it is made for the first time.
          hookTimeout: 2_400_000,
        },
      },
    ],
  },
})
