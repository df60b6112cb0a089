import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

/** They measure what a box does while others load it: beside other files they would measure those. */
const ALONE = ['boxes', 'faults', 'stampede'].map((name) => `test/e2e/${name}.test.ts`)

const e2e = {
  include: ['test/e2e/**/*.test.ts'],
  // What a test may take is said where it waits; this finds what hangs.
  testTimeout: 600_000,
  // The first run makes the Debians of the boxes, and each change of the tree a release.
  hookTimeout: 600_000,
}

// Everything that runs in one process; the end-to-end tests, each file with LANs and boxes of its own, several at a time
// because they mostly wait for each other's timers, and those that measure by themselves; and, before a release, the image
// in a machine of its own (`npm run test:appliance`).
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
          maxWorkers: availableParallelism(),
        },
      },
      {
        test: {
          ...e2e,
          name: 'e2e',
          exclude: ALONE,
          maxWorkers: Number(process.env['EDGE_E2E_FILES'] ?? 2 * availableParallelism()),
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: { ...e2e, name: 'e2e-alone', include: ALONE, maxWorkers: 1, sequence: { groupOrder: 2 } },
      },
      {
        test: {
          name: 'appliance',
          include: ['test/appliance/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 600_000,
          // The Debian below the image takes ten minutes when it is made for the first time.
          hookTimeout: 2_400_000,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
})
