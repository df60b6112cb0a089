import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LogEngine, logDirectory } from '../../src/host/log-engine.ts'
import { engineContract } from './engine.ts'
import { until } from './world.ts'

engineContract('the host', () => {
  const directory = mkdtempSync(join(tmpdir(), 'edge-mqtt-store-'))
  const runs: LogEngine[] = []
  return {
    run: () => {
      const engine = new LogEngine(logDirectory(join(directory, 'store')))
      runs.push(engine)
      return engine
    },
    until,
    close: () => {
      let open = runs.length
      const closed = () => --open === 0 && rmSync(directory, { recursive: true })
      for (const engine of runs) engine.close(closed)
    },
  }
})
