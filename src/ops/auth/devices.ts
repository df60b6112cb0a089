// The account `devices`, which every box that has the CA's key makes alike, so that a LAN works at once without standing
// open: its password is derived from the cluster's secret. Whatever is written of that name on purpose wins.

import { createPrivateKey, hkdfSync, type KeyObject } from 'node:crypto'
import { hostname, networkInterfaces } from 'node:os'
import type { ClusterId } from '../../base/ids.ts'
import type { CertificateAuthority } from '../../base/ports/trust.ts'
import type { Account } from '../../broker/accountfile.ts'
import { lettersOf, randomVerifier } from './passwords.ts'

export const DEVICES = 'devices'
const LABEL = 'edge-mqtt account devices'
const KEPT_LABEL = 'edge-mqtt account devices, kept'

/** The password that the CA's key and the cluster's id come to. */
export const devicesPassword = (caKey: string, cluster: ClusterId): string => lettersOf(derived(caKey, cluster, LABEL))

/** What it is sealed with where it is kept. */
export const keptKey = (caKey: string, cluster: ClusterId): Buffer => derived(caKey, cluster, KEPT_LABEL)

const derived = (caKey: string, cluster: ClusterId, label: string): Buffer =>
  Buffer.from(hkdfSync('sha256', secretOf(createPrivateKey(caKey)), Buffer.from(cluster, 'hex'), label, 32))

/** The secret number alone, where the kind of key has one to show: the same key may stand in different files. */
function secretOf(key: KeyObject): Buffer {
  try {
    return Buffer.from(key.export({ format: 'jwk' }).d!, 'base64url')
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_CRYPTO_JWK'))) throw error
    return key.export({ format: 'der', type: 'pkcs8' })
  }
}

export const devicesAccount = (ca: CertificateAuthority, cluster: ClusterId): Account => ({
  is: 'account',
  name: DEVICES,
  verifier: randomVerifier(devicesPassword(ca.privateKey, cluster)),
  scram: null,
  groups: [],
})

/** What to paste into a device. */
export const devicesUrl = (password: string, port: number): string =>
  `mqtt://${DEVICES}:${password}@${ownAddress()}:${port}`

/** Where devices on the LAN reach this box. */
function ownAddress(): string {
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { address, family, internal } of addresses ?? []) if (!internal && family === 'IPv4') return address
  }
  return hostname()
}
