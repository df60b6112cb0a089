// npm run package [-- --arch x64|arm64] [--out FOLDER]: the release tarball and the Debian package of one architecture.

import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { createGzip } from 'node:zlib'
import { ar, TIME_DEFAULT, type Tree, tar } from './archive.ts'
import { type Arch, releaseTree } from './contents.ts'
import { debArch, debControl, debTree, debVersion } from './deb.ts'
import { makeParts } from './fetch.ts'

const { values } = parseArgs({ options: { arch: { type: 'string' }, out: { type: 'string' } } })
const arch = values.arch ?? process.arch
if (arch !== 'x64' && arch !== 'arm64') {
  console.error(`a release is made for x64 or arm64, not for ${arch}: npm run package -- --arch arm64`)
  process.exit(64)
}

const repository = process.cwd()
const packaging = join(repository, 'packaging')
const out = resolve(values.out ?? 'release')
const time = Number(process.env['SOURCE_DATE_EPOCH'] ?? TIME_DEFAULT)
const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as { version: string }

const work = mkdtempSync(join(tmpdir(), 'edge-mqtt-package-'))
try {
  const tree = releaseTree(makeParts(repository, join(work, 'parts'), arch), arch)
  mkdirSync(out, { recursive: true })
  await pack(tree, arch)
} finally {
  rmSync(work, { recursive: true, force: true })
}

async function pack(tree: Tree, arch: Arch): Promise<void> {
  const name = `edge-mqtt-${version}-linux-${arch}`
  const tarball = join(out, `${name}.tar.gz`)
  await pipeline(Readable.from(tar(tree, name, time)), createGzip(), createWriteStream(tarball))
  console.log(tarball)

  const laidDown = debTree(tree, packaging)
  const members = [
    ['debian-binary', Buffer.from('2.0\n')],
    ['control.tar.gz', debControl(laidDown, packaging, version, arch, time)],
    ['data.tar.gz', await buffer(Readable.from(tar(laidDown, '.', time)).pipe(createGzip()))],
  ] as const
  const deb = join(out, `edge-mqtt_${debVersion(version)}_${debArch(arch)}.deb`)
  await pipeline(Readable.from(ar(members, time)), createWriteStream(deb))
  console.log(deb)
}
