// What Node and OpenSSL say when TLS fails, in the words that `status` shows. Found by trying each case on both sides;
// the tests try them again.

import type { SecureFailure } from '../base/ports/trust.ts'
import { errorCode } from './host-errors.ts'

/** Codes of X509_verify_cert: the peer's chain does not end in one of our anchors. */
const FOREIGN = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
])

/** Codes of X509_verify_cert: the chain is ours and yet not good. */
const BAD = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_REVOKED',
  'CERT_REJECTED',
  'CERT_CHAIN_TOO_LONG',
  'INVALID_CA',
  'INVALID_PURPOSE',
  'PATH_LENGTH_EXCEEDED',
  'HOSTNAME_MISMATCH',
  'ERROR_IN_CERT_NOT_BEFORE_FIELD',
  'ERROR_IN_CERT_NOT_AFTER_FIELD',
])

const CLOSED = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ETIMEDOUT', 'ERR_STREAM_PREMATURE_CLOSE'])

export function secureFailure(error: Error | null): SecureFailure {
  const code = errorCode(error)
  if (FOREIGN.has(code)) return 'foreign CA'
  if (BAD.has(code)) return 'bad certificate'
  if (code === 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE') return 'no certificate'
  if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT') return 'timeout'
  if (CLOSED.has(code) || error === null) return 'closed'
  // An alert is the other side's word: ERR_SSL_TLSV13_ALERT_..., ERR_SSL_SSLV3_ALERT_..., ERR_SSL_TLSV1_ALERT_...
  if (/^ERR_SSL_.*ALERT_/.test(code)) return 'refused by peer'
  if (/^ERR_SSL_.*CERT/.test(code) || code === 'ERR_SSL_BAD_SIGNATURE') return 'bad certificate'
  return 'not TLS'
}
