// Codes that let a box in, made to be read aloud and typed: six groups of four of 32 characters, without 0, 1, O and I.
//
//   CCCI IIIS SSSS SSSS SSSS SSSK      3 characters that pick the cluster (the first 15 bits of its id), 4 of the
//                                      invite's id, 16 of secret (80 random bits), 1 to check the other 23
//
// The check character is that of a code over GF(32) whose weights are all different: one wrong character, or two that
// have changed places, never pass.

import type { ClusterId } from '../../base/ids.ts'

const ALPHABET = '23456789ABCDEFGHJKLMNPQRSTUVWXYZ'
const BITS = 5
const CLUSTER_CHARACTERS = 3
const INVITE_CHARACTERS = 4
const SECRET_CHARACTERS = 16
const CHECKED = CLUSTER_CHARACTERS + INVITE_CHARACTERS + SECRET_CHARACTERS
const GROUP = 4
const GROUPS = (CHECKED + 1) / GROUP

/** Bytes of an invite's secret. */
export const SECRET_BYTES = (SECRET_CHARACTERS * BITS) / 8
/** Random bytes from which an invite's id is made. */
export const INVITE_SEED_BYTES = INVITE_CHARACTERS

export interface Code {
  /** The first characters of the cluster's id, as they stand in the code. */
  readonly cluster: string
  readonly invite: string
  readonly secret: Buffer
}

/** Any 4 bytes to the id of an invite. */
export const inviteId = (seed: Buffer): string =>
  Array.from(seed.subarray(0, INVITE_CHARACTERS), (byte) => ALPHABET[byte & 31]).join('')

export const isInviteId = (text: string): boolean =>
  text.length === INVITE_CHARACTERS && [...text].every((character) => ALPHABET.includes(character))

/** What a code says of its cluster. */
export const clusterMark = (cluster: ClusterId): string =>
  charactersOf(Buffer.from(cluster, 'hex')).slice(0, CLUSTER_CHARACTERS)

/** As it is shown: in groups, with hyphens between. */
export function codeText(cluster: ClusterId, invite: string, secret: Buffer): string {
  const characters = clusterMark(cluster) + invite + charactersOf(secret)
  const whole = characters + checkOf(characters)
  return Array.from({ length: GROUPS }, (_, group) => whole.slice(group * GROUP, (group + 1) * GROUP)).join('-')
}

/** Reads what was typed, in capitals or not, with any blanks and hyphens; a text says what is wrong with it. */
export function parseCode(typed: string): Code | string {
  const characters = typed.toUpperCase().replace(/[\s-]+/g, '')
  for (const [at, character] of [...characters].entries()) {
    if (ALPHABET.includes(character)) continue
    const group = Math.floor(at / GROUP) + 1
    return `'${shown(character)}' in group ${group} is never part of a code: it has the letters A to Z without I and O, and the digits 2 to 9`
  }
  if (characters.length !== CHECKED + 1) {
    return `a code has ${CHECKED + 1} characters in ${GROUPS} groups of ${GROUP}; this one has ${characters.length}`
  }
  if (checkOf(characters.slice(0, CHECKED)) !== characters[CHECKED]) {
    return 'the last character, which checks the others, does not fit them: one of the groups is mistyped'
  }
  const invite = characters.slice(CLUSTER_CHARACTERS, CLUSTER_CHARACTERS + INVITE_CHARACTERS)
  const secret = bytesOf(characters.slice(CLUSTER_CHARACTERS + INVITE_CHARACTERS, CHECKED))
  return { cluster: characters.slice(0, CLUSTER_CHARACTERS), invite, secret }
}

/** What comes from people may hold anything; it goes to logs and terminals. */
const shown = (character: string): string => (/^[\x20-\x7e]$/.test(character) ? character : '?')

function charactersOf(bytes: Buffer): string {
  let text = ''
  let held = 0
  let bits = 0
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xfff
    bits += 8
    while (bits >= BITS) {
      bits -= BITS
      text += ALPHABET[(held >> bits) & 31]
    }
  }
  return text
}

function bytesOf(characters: string): Buffer {
  const bytes: number[] = []
  let held = 0
  let bits = 0
  for (const character of characters) {
    held = ((held << BITS) | ALPHABET.indexOf(character)) & 0xfff
    bits += BITS
    if (bits < 8) continue
    bits -= 8
    bytes.push((held >> bits) & 0xff)
  }
  return Buffer.from(bytes)
}

/** The sum of each character times its own power of the field's generator, which has 31 of them: more than characters. */
function checkOf(characters: string): string {
  let sum = 0
  let weight = 1
  for (const character of characters) {
    weight = times(weight, 2)
    sum ^= times(ALPHABET.indexOf(character), weight)
  }
  return ALPHABET[sum]!
}

/** In GF(32), modulo x^5 + x^2 + 1. */
function times(a: number, b: number): number {
  let product = 0
  for (let bit = 0; bit < BITS; bit++) {
    if ((b >> bit) & 1) product ^= a << bit
  }
  for (let bit = 2 * BITS - 2; bit >= BITS; bit--) {
    if ((product >> bit) & 1) product ^= 0b100101 << (bit - BITS)
  }
  return product
}
