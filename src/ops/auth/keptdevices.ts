// The password of the account `devices`, for whoever asks for its URL. It comes from the key of the first CA, which is gone
// when that is replaced, while the devices keep their password: so it is kept from then on, sealed with the key of the CA
// in use. A card from which that key was deleted does not tell it any more.
//
//   devices.sealed   12 nonce . 16 tag . AES-256-GCM of the password

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { ClusterId } from '../../base/ids.ts'
import type { StateFiles } from '../../base/ports/files.ts'
import type { CertificateAuthority } from '../../base/ports/trust.ts'
import type { Account } from '../../broker/accountfile.ts'
import { devicesAccount, devicesPassword, keptKey } from './devices.ts'

const FILE = 'devices.sealed'
const CIPHER = 'aes-256-gcm'
const NONCE_BYTES = 12
const TAG_BYTES = 16
const FILE_BYTES_MAX = 256

export class KeptDevices {
  readonly #files: StateFiles
  #password: string | null = null

  constructor(files: StateFiles) {
    this.#files = files
  }

  /** What `devices` was made with; null: it is not known here. It may have another password since. */
  get password(): string | null {
    return this.#password
  }

  /**
   * The cluster's CA is this one, by so many replacements; null: its key is not here. Returns the accounts that every box
   * with the first one makes alike.
   */
  standsOn(ca: CertificateAuthority | null, cluster: ClusterId, generation: number): readonly Account[] {
    if (ca === null) {
      this.#password = null
      return []
    }
    if (generation === 0) {
      this.#password = devicesPassword(ca.privateKey, cluster)
      return [devicesAccount(ca, cluster)]
    }
    const key = keptKey(ca.privateKey, cluster)
    const kept = this.#read(key)
    if (this.#password === null) this.#password = kept
    // One that cannot be written is not shown after the next start: the account itself is not concerned.
    else if (this.#password !== kept) this.#files.write(FILE, seal(this.#password, key), true, () => {})
    return []
  }

  #read(key: Buffer): string | null {
    const bytes = this.#files.read(FILE)
    if (bytes === null || bytes.length <= NONCE_BYTES + TAG_BYTES || bytes.length > FILE_BYTES_MAX) return null
    const nonce = bytes.subarray(0, NONCE_BYTES)
    const tag = bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES)
    const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES }).setAuthTag(tag)
    try {
      return decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES), undefined, 'utf8') + decipher.final('utf8')
    } catch {
      // Sealed with the key of another CA, or damaged: node:crypto tells no more than that.
      return null
    }
  }
}

function seal(password: string, key: Buffer): Buffer {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
  const sealed = Buffer.concat([cipher.update(password, 'utf8'), cipher.final()])
  return Buffer.concat([nonce, cipher.getAuthTag(), sealed])
}
