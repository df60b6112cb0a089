// X.509 and TLS joined into the Trust port: slow work comes back by a call, and the world's errors as HostError.

import { createHash, hkdfSync } from 'node:crypto'
import { HostError } from '../base/errors.ts'
import type { ClusterId, NodeId } from '../base/ids.ts'
import { KEY_BYTES, type KeyedFailure, type KeySide } from '../base/ports/keyed.ts'
import type { ByteStream } from '../base/ports/streams.ts'
import type {
  CertificateAuthority,
  CertificateFacts,
  Credentials,
  KeyPair,
  SecuredPeer,
  SecureFailure,
  ServiceIssuer,
  ServiceSubject,
  Trust,
} from '../base/ports/trust.ts'
import { hostError } from './host-errors.ts'
import { secureByKey } from './keyed-tls.ts'
import { passwordKey } from './password-key.ts'
import { secure } from './tls.ts'
import {
  crossSign,
  factsOf,
  isSignedBy,
  issue,
  issueService,
  makeAuthority,
  makeKeys,
  parseCertificate,
  parsePrivateKey,
  publicKeyOf,
} from './x509.ts'

const SECRET_LABEL = 'edge-mqtt enrolment'

export class HostTrust implements Trust, ServiceIssuer {
  makeKeys(done: (keys: KeyPair | HostError) => void): void {
    answer('making a key pair', makeKeys(), done)
  }

  makeAuthority(clusterId: ClusterId, done: (ca: CertificateAuthority | HostError) => void): void {
    answer('making a CA', makeAuthority(clusterId), done)
  }

  issue(
    ca: CertificateAuthority,
    nodeId: NodeId,
    publicKey: string,
    done: (certificate: string | HostError) => void,
  ): void {
    answer('issuing a certificate', issue(ca, nodeId, publicKey), done)
  }

  issueService(
    ca: CertificateAuthority,
    subject: ServiceSubject,
    publicKey: string,
    done: (certificate: string | HostError) => void,
  ): void {
    answer('issuing a certificate', issueService(ca, subject, publicKey), done)
  }

  crossSign(ca: CertificateAuthority, certificate: string, done: (cross: string | HostError) => void): void {
    answer('signing a CA', crossSign(ca, certificate), done)
  }

  publicKey(privateKey: string): string | HostError {
    return orHostError(() => publicKeyOf(privateKey))
  }

  read(certificate: string): CertificateFacts | HostError {
    return orHostError(() => factsOf(parseCertificate(certificate)))
  }

  matches(certificate: string, privateKey: string): boolean | HostError {
    return orHostError(() => parseCertificate(certificate).checkPrivateKey(parsePrivateKey(privateKey)))
  }

  signedBy(certificate: string, ca: string): boolean {
    return orHostError(() => isSignedBy(parseCertificate(certificate), parseCertificate(ca))) === true
  }

  secure(
    stream: ByteStream,
    role: 'server' | 'client',
    credentials: Credentials,
    timeoutMs: number,
    done: (result: { stream: ByteStream; peer: SecuredPeer } | SecureFailure) => void,
  ): void {
    secure(stream, role, credentials, timeoutMs, done)
  }

  digest(bytes: Buffer): Buffer {
    return createHash('sha256').update(bytes).digest()
  }

  secretKey(secret: Buffer, salt: string): Buffer {
    return Buffer.from(hkdfSync('sha256', secret, salt, SECRET_LABEL, KEY_BYTES))
  }

  passwordKey(password: string, cluster: ClusterId, done: (key: Buffer | HostError) => void): void {
    answer('making a key of the password', passwordKey(password, Buffer.from(cluster, 'hex')), done)
  }

  secureByKey(
    stream: ByteStream,
    side: KeySide,
    timeoutMs: number,
    done: (result: { stream: ByteStream; identity: string } | KeyedFailure) => void,
  ): void {
    secureByKey(stream, side, timeoutMs, done)
  }
}

/** Calls `done` outside of the promise, so that what it throws is not taken for a failure of the work. */
function answer<T>(what: string, work: Promise<T>, done: (result: T | HostError) => void): void {
  work.then(
    (result) => setImmediate(done, result),
    (error: unknown) => setImmediate(done, hostError(what, error)),
  )
}

function orHostError<T>(work: () => T): T | HostError {
  try {
    return work()
  } catch (error) {
    if (error instanceof HostError) return error
    // OpenSSL's words for what it cannot make sense of: a key of an unknown kind, a certificate that contradicts itself.
    return new HostError('invalid', (error as Error).message)
  }
}
