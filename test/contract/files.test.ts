import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HostFiles } from '../../src/host/files.ts'
import { filesContract } from './files.ts'
import { until } from './world.ts'

filesContract('the host', () => {
  const directory = mkdtempSync(join(tmpdir(), 'edge-mqtt-files-'))
  return {
    files: new HostFiles(join(directory, 'state')),
    again: () => new HostFiles(join(directory, 'state')),
    until,
    close: () => rmSync(directory, { recursive: true }),
  }
})
