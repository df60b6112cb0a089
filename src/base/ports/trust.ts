// X.509 and TLS as the core sees them. PEM texts are opaque to the core; the simulator has its own kind.

import type { HostError } from '../errors.ts'
import type { ClusterId, NodeId } from '../ids.ts'
import type { KeyedTrust } from './keyed.ts'
import type { ByteStream } from './streams.ts'

export interface KeyPair {
  readonly privateKey: string
  readonly publicKey: string
}

export interface CertificateAuthority {
  readonly certificate: string
  readonly privateKey: string
}

/** Whom a certificate is for that is not a node's. */
export interface ServiceSubject {
  readonly commonName: string
  /** Host names and addresses of a listener; a device has none of either. */
  readonly names: readonly string[]
  readonly addresses: readonly string[]
  /** Milliseconds since 1970; null: it never ends. */
  readonly fromMs: number | null
  readonly toMs: number | null
}

/** What a certificate says of itself once it has been read. */
export type CertificateFacts =
  | { readonly kind: 'ca'; readonly clusterId: ClusterId; readonly fingerprint: string }
  | { readonly kind: 'node'; readonly nodeId: NodeId; readonly keyFingerprint: string }

/** What one side of a link shows and accepts. */
export interface Credentials {
  readonly certificate: string
  readonly privateKey: string
  /** Certificates that a peer's chain may end in. */
  readonly anchors: readonly string[]
  /** Shown behind the own certificate: the CA that signed it, signed by the one before, and so on. */
  readonly chain?: readonly string[]
}

export interface SecuredPeer {
  readonly nodeId: NodeId
  /** What it has shown, for the day on which the CA that signed it is believed no more. */
  readonly certificate: string
  /** Hash of the peer's public key: the same id with another key is `identity changed`. */
  readonly keyFingerprint: string
}

/** Why an upgrade failed, in the words `status` shows under `refused`. */
export type SecureFailure =
  | 'foreign CA'
  | 'no certificate'
  | 'bad certificate'
  | 'refused by peer'
  | 'not TLS'
  | 'timeout'
  | 'closed'

export interface Trust extends KeyedTrust {
  /** Makes a key pair off the main thread. */
  makeKeys(done: (keys: KeyPair | HostError) => void): void
  /** Makes a CA with the cluster id in its subject, valid from 1970 to 9999, off the main thread where it is slow. */
  makeAuthority(clusterId: ClusterId, done: (ca: CertificateAuthority | HostError) => void): void
  /** Issues a node certificate with the node id as its identity, valid from 1970 to 9999. */
  issue(
    ca: CertificateAuthority,
    nodeId: NodeId,
    publicKey: string,
    done: (certificate: string | HostError) => void,
  ): void
  /**
   * Signs the certificate of one CA by another: the same name and key under another issuer, so that who believes `ca`
   * believes what the other CA signs.
   */
  crossSign(ca: CertificateAuthority, certificate: string, done: (cross: string | HostError) => void): void
  /** The public key that belongs to a private one. */
  publicKey(privateKey: string): string | HostError
  /** Reads a certificate of ours; a HostError says what is wrong with it. */
  read(certificate: string): CertificateFacts | HostError
  /** Whether the private key is the one of the certificate. */
  matches(certificate: string, privateKey: string): boolean | HostError
  /** Whether `certificate` was signed by the CA certificate `ca`. */
  signedBy(certificate: string, ca: string): boolean
  /**
   * Upgrades a plain stream in place to TLS 1.3 with both certificates required. Takes the stream over; plain bytes
   * that arrived before are the caller's fault and end in `not TLS`. `role` is the TLS role. `done` is called once:
   * for the TLS client it may come before the server has judged our certificate (TLS 1.3), so a link is up only when
   * the peer's first frame has arrived. On failure the stream is closed.
   */
  secure(
    stream: ByteStream,
    role: 'server' | 'client',
    credentials: Credentials,
    timeoutMs: number,
    done: (result: { stream: ByteStream; peer: SecuredPeer } | SecureFailure) => void,
  ): void
}

/** Certificates of our CA that are not nodes'. */
export interface ServiceIssuer {
  /** Issues a certificate for a listener, or for a device that shows it to one. */
  issueService(
    ca: CertificateAuthority,
    subject: ServiceSubject,
    publicKey: string,
    done: (certificate: string | HostError) => void,
  ): void
}
