// Who this node is: what it keeps in its state directory and what lies in its bundle, read and checked against each
// other before anything is sent.
//
//   node.json      node id, the cluster it waits for        node.crt  node.key   its certificate and key
//   hardware.json  what ties it to its hardware             ca.crt    ca.key     the CA in use; the key if it has it
//                                                           ca.json   how often it was replaced, and the CAs before it
//
// An empty file is none. Setup writes these files in an order in which every prefix reads well here.

import { HostError } from '../../base/errors.ts'
import { type ClusterId, isId, NO_CLUSTER, type NodeId, nodeId } from '../../base/ids.ts'
import type { StateFiles } from '../../base/ports/files.ts'
import type { Log } from '../../base/ports/log.ts'
import type { Random } from '../../base/ports/random.ts'
import type { Trust } from '../../base/ports/trust.ts'
import type { Bundle, HardwareTies } from '../settings.ts'
import { copied, mergeTies } from './clones.ts'
import { settledFiles } from './together.ts'

export const FILES = {
  node: 'node.json',
  certificate: 'node.crt',
  key: 'node.key',
  hardware: 'hardware.json',
  caCertificate: 'ca.crt',
  caKey: 'ca.key',
  line: 'ca.json',
} as const

export interface Authority {
  readonly certificate: string
  readonly privateKey: string | null
  readonly clusterId: ClusterId
  /** Of the certificate. */
  readonly fingerprint: string
}

/** A CA that was replaced and is still believed, so that boxes that were away find back. */
export interface EarlierAuthority {
  readonly certificate: string
  /** The certificate of the CA that followed it, signed by this one. */
  readonly cross: string
  /** Cluster time at which it is believed no more. */
  readonly untilMs: number
}

/** Where the CA in use comes from. */
export interface Line {
  /** How often the CA of this cluster was replaced. */
  readonly generation: number
  /** The last one first. */
  readonly earlier: readonly EarlierAuthority[]
  /** The key of the CA was taken from this box on purpose: what lies in its bundle does not count. */
  readonly sealed: boolean
  /** Other boxes that have the key, as far as was known: it is not to spread when they are off for a while. */
  readonly holders: readonly NodeId[]
}

export const FIRST_LINE: Line = { generation: 0, earlier: [], sealed: false, holders: [] }

export interface Identity {
  readonly id: NodeId
  /** Null for a box that has not been let in yet. */
  readonly own: { readonly certificate: string; readonly privateKey: string } | null
  /** The CA in use: kept, or from the bundle. */
  readonly authority: Authority | null
  readonly line: Line
  /** Where this identity comes from; anything but 'kept' still has to be written. */
  readonly origin: 'kept' | 'new' | 'copied card' | 'live clone'
  /** The cluster that this box heard at an earlier start and waits for. */
  readonly waitingFor: ClusterId | null
  /** This box made the CA because it heard nobody, so it may give it up for a cluster that it hears later. */
  readonly founded: boolean
  /** Clusters that this box has left for another: what lies in its bundle of these does not count. */
  readonly gaveUp: readonly ClusterId[]
  readonly hardware: HardwareTies
  /** What is on disk now. */
  readonly kept: {
    readonly hardware: HardwareTies | null
    readonly authority: Authority | null
    readonly certificate: boolean
  }
}

export interface IdentityWorld {
  readonly files: StateFiles
  readonly trust: Trust
  readonly random: Random
}

export interface Box {
  readonly bundle: Bundle | null
  readonly hardware: HardwareTies
}

/** Reads and checks; writes nothing. A HostError says which file, what is wrong with it and what to do. */
export function loadIdentity(world: IdentityWorld, box: Box): Identity | HostError {
  try {
    return load(world, box)
  } catch (error) {
    if (error instanceof HostError) return error
    throw error
  }
}

/**
 * The same box under a new id, for a living copy of its card: it needs a new certificate. Read from disk again, since
 * first setup may have written a certificate and a CA after the identity was loaded.
 */
export function renewIdentity(world: IdentityWorld, box: Box): Identity | HostError {
  const identity = loadIdentity(world, box)
  if (identity instanceof HostError) return identity
  const fresh = { own: null, origin: 'live clone', waitingFor: null, founded: false } as const
  return { ...identity, ...fresh, id: nodeId(world.random) }
}

function load(world: IdentityWorld, box: Box): Identity {
  const { trust, random } = world
  const files = settledFiles(world.files)
  const text = (name: string) => files.read(name)?.toString('utf8') ?? ''
  const certificate = text(FILES.certificate)
  const kept = keptAuthority(trust, text(FILES.caCertificate), text(FILES.caKey), certificate !== '')
  const node = readNode(text(FILES.node))
  const bundle = bundledAuthority(trust, box.bundle, node.gaveUp)
  if (bundle !== null && kept !== null && (certificate !== '' || kept.privateKey !== null)) oneCluster(kept, bundle)

  const line = readLine(text(FILES.line), kept)
  const authority = chooseAuthority(kept, bundle, certificate !== '', line)
  const own = certificate === '' ? null : ownCertificate(trust, certificate, text(FILES.key), authority)
  const hardware = readHardware(text(FILES.hardware))
  const common = {
    authority,
    line: authority !== null && authority.fingerprint === kept?.fingerprint ? line : FIRST_LINE,
    hardware: hardware === null ? box.hardware : mergeTies(hardware, box.hardware),
    founded: node.founded,
    gaveUp: node.gaveUp,
    kept: { hardware, authority: kept, certificate: certificate !== '' },
  }
  if (hardware !== null && copied(hardware, box.hardware)) {
    const ties = { hardware: box.hardware, founded: false }
    return { ...common, ...ties, id: nodeId(random), own: null, origin: 'copied card', waitingFor: null }
  }
  if (own !== null) return { ...common, id: own.id, own, origin: 'kept', waitingFor: null }
  return {
    ...common,
    id: node.id ?? nodeId(random),
    own: null,
    origin: node.id === null ? 'new' : 'kept',
    waitingFor: node.waitingFor,
  }
}

function keptAuthority(trust: Trust, certificate: string, privateKey: string, inUse: boolean): Authority | null {
  if (certificate === '') {
    if (!inUse) return null
    throw invalid(FILES.caCertificate, `missing beside ${FILES.certificate}`, RESTORE)
  }
  const names = { certificate: FILES.caCertificate, privateKey: FILES.caKey, remedy: RESTORE }
  // Before the first certificate this is what a setup cut off half-way leaves behind: it starts again.
  if (!inUse && privateKey !== '' && trust.matches(certificate, privateKey) === false) return null
  return readAuthority(trust, certificate, privateKey, names)
}

function bundledAuthority(trust: Trust, bundle: Bundle | null, gaveUp: readonly ClusterId[]): Authority | null {
  if (bundle === null) return null
  const names = { certificate: 'certs/ca.crt', privateKey: 'certs/ca.key', remedy: 'copy both from one box again' }
  const authority = readAuthority(trust, bundle.certificate, bundle.privateKey ?? '', names)
  return gaveUp.includes(authority.clusterId) ? null : authority
}

interface AuthorityFiles {
  readonly certificate: string
  readonly privateKey: string
  readonly remedy: string
}

function readAuthority(trust: Trust, certificate: string, privateKey: string, names: AuthorityFiles): Authority {
  const facts = trust.read(certificate)
  if (facts instanceof HostError) throw invalid(names.certificate, facts.message, names.remedy)
  if (facts.kind !== 'ca') {
    throw invalid(names.certificate, 'not the certificate of a CA', names.remedy)
  }
  if (privateKey !== '') {
    const matches = trust.matches(certificate, privateKey)
    if (matches instanceof HostError) throw invalid(names.privateKey, matches.message, names.remedy)
    if (!matches) throw invalid(names.privateKey, `not the key of ${names.certificate}`, names.remedy)
  }
  return {
    certificate,
    privateKey: privateKey === '' ? null : privateKey,
    clusterId: clusterOf(facts),
    fingerprint: facts.fingerprint,
  }
}

/** The cluster id stands in the subject of a CA that we made; of any other CA it is the beginning of its fingerprint. */
export function clusterOf(facts: { readonly clusterId: ClusterId; readonly fingerprint: string }): ClusterId {
  if (isId(facts.clusterId) && facts.clusterId !== NO_CLUSTER) return facts.clusterId
  const digits = facts.fingerprint.toLowerCase().replace(/[^0-9a-f]/g, '')
  return digits.slice(0, NO_CLUSTER.length).padEnd(NO_CLUSTER.length, '1') as ClusterId
}

function oneCluster(kept: Authority, bundle: Authority): void {
  if (kept.clusterId === bundle.clusterId) return
  throw invalid(
    'certs/ca.crt',
    `of cluster ${bundle.clusterId}, but this node belongs to cluster ${kept.clusterId}`,
    `remove certs/ca.crt and certs/ca.key to stay in ${kept.clusterId}; to change to ${bundle.clusterId}, stop the ` +
      `node and move ${Object.values(FILES).join(', ')} out of its state directory`,
  )
}

/** A node stays with the CA that it uses, and takes the key from the bundle if that is the same CA. */
function chooseAuthority(
  kept: Authority | null,
  bundle: Authority | null,
  inUse: boolean,
  { sealed }: Line,
): Authority | null {
  if (bundle === null || kept === null) return bundle ?? kept
  if (kept.fingerprint === bundle.fingerprint) {
    return sealed ? kept : { ...kept, privateKey: kept.privateKey ?? bundle.privateKey }
  }
  return inUse || kept.privateKey !== null ? kept : bundle
}

function ownCertificate(trust: Trust, certificate: string, privateKey: string, authority: Authority | null) {
  const facts = trust.read(certificate)
  if (facts instanceof HostError) throw invalid(FILES.certificate, facts.message, RENEW)
  if (facts.kind !== 'node') throw invalid(FILES.certificate, 'not the certificate of a node', RENEW)
  if (privateKey === '') throw invalid(FILES.key, `missing beside ${FILES.certificate}`, RENEW)
  const matches = trust.matches(certificate, privateKey)
  if (matches instanceof HostError) throw invalid(FILES.key, matches.message, RENEW)
  if (!matches) throw invalid(FILES.key, `not the key of ${FILES.certificate}`, RENEW)
  if (authority === null || !trust.signedBy(certificate, authority.certificate)) {
    throw invalid(FILES.certificate, `not issued by ${FILES.caCertificate}`, RENEW)
  }
  return { id: facts.nodeId, certificate, privateKey }
}

export const lineFile = (fingerprint: string, { generation, earlier, sealed, holders }: Line) => ({
  name: FILES.line,
  text: `${JSON.stringify({ version: 1, of: fingerprint, generation, earlier, sealed, holders }, null, 2)}\n`,
})

/** A damaged one costs boxes that were away their way back, and is told anew by the next member. */
function readLine(text: string, of: Authority | null): Line {
  const { of: fingerprint, generation, earlier, sealed, holders } = parse(text) ?? {}
  if (of === null || fingerprint !== of.fingerprint) return FIRST_LINE
  const found = Array.isArray(earlier) ? (earlier as Partial<EarlierAuthority>[]) : []
  const whole = found.every((each) => {
    return typeof each?.certificate === 'string' && typeof each.cross === 'string' && Number.isFinite(each.untilMs)
  })
  return {
    generation: typeof generation === 'number' && Number.isSafeInteger(generation) ? generation : 0,
    earlier: whole ? (found as EarlierAuthority[]) : [],
    sealed: sealed === true,
    holders: (Array.isArray(holders) ? holders : []).filter((id): id is NodeId => typeof id === 'string' && isId(id)),
  }
}

/** What is kept of a box beside its certificate. */
export type NodeFacts = Pick<Identity, 'id' | 'waitingFor' | 'founded' | 'gaveUp'>

export const nodeFile = ({
  id,
  waitingFor,
  founded,
  gaveUp,
}: NodeFacts): { readonly name: string; readonly text: string } => ({
  name: FILES.node,
  text: `${JSON.stringify({ id, waitingFor, founded, gaveUp }, null, 2)}\n`,
})

/** A single broker keeps its id too: it stands in what it has stored, and is the same when the cluster is switched on. */
export function keepId(world: { readonly files: StateFiles; readonly log: Log }, identity: Identity | HostError): void {
  if (identity instanceof HostError || identity.origin !== 'new') return
  const { name, text } = nodeFile({ ...identity, waitingFor: null })
  world.files.write(name, Buffer.from(text), false, (error) => {
    if (error !== null) world.log.warn({ why: error.message }, 'the id of this node is not kept')
  })
}

/** A damaged file costs a box that was not let in yet nothing but its id. */
function readNode(text: string): Omit<NodeFacts, 'id'> & { readonly id: NodeId | null } {
  const { id, waitingFor, founded, gaveUp } = parse(text) ?? {}
  const left: unknown[] = Array.isArray(gaveUp) ? gaveUp.slice(-GAVE_UP_MAX) : []
  return {
    id: typeof id === 'string' && isId(id) ? (id as NodeId) : null,
    waitingFor: typeof waitingFor === 'string' && isId(waitingFor) ? (waitingFor as ClusterId) : null,
    founded: founded === true,
    gaveUp: left.filter((cluster): cluster is ClusterId => typeof cluster === 'string' && isId(cluster)),
  }
}

function readHardware(text: string): HardwareTies | null {
  const file = parse(text)
  if (file === null) return null
  const tie = (name: keyof HardwareTies) => {
    const value = file[name]
    return typeof value === 'string' ? value : ''
  }
  return { machineId: tie('machineId'), boardSerial: tie('boardSerial'), firstMac: tie('firstMac') }
}

function parse(text: string): Record<string, unknown> | null {
  if (text === '') return null
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}

/** A box changes clusters seldom. */
export const GAVE_UP_MAX = 16

const RESTORE = 'put the right file back into the state directory'
// With the id: members refuse a known id that comes with another key.
const RENEW = `put the right files back, or remove ${FILES.node}, ${FILES.certificate} and ${FILES.key} to get a new identity`

function invalid(file: string, what: string, remedy: string): HostError {
  return new HostError('invalid', `${file}: ${what}; ${remedy}`)
}
