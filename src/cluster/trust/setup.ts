// First setup: from the identity on disk and what is heard on the LAN to a member's credentials, or to waiting.
//
//   certificate ------------------------------------------------------> member
//   CA with key ------------------------> keys, certificate ----------> member
//   nothing -> listen -(nobody heard)---> CA, keys, certificate ------> member, alone
//                     -(cluster heard)-------------------------------> waiting
//
// Every file is on disk before the next one is begun, the certificate after what it stands on.

import { HostError } from '../../base/errors.ts'
import { type ClusterId, clusterId, type InstanceId, NO_CLUSTER } from '../../base/ids.ts'
import type { Clock, Timer } from '../../base/ports/clock.ts'
import type { StateFiles } from '../../base/ports/files.ts'
import type { Log } from '../../base/ports/log.ts'
import type { Random } from '../../base/ports/random.ts'
import { endpointText } from '../../base/ports/streams.ts'
import type { CertificateAuthority, Trust } from '../../base/ports/trust.ts'
import type { Sighting } from '../discovery/candidates.ts'
import { sameTies } from './clones.ts'
import { caOf, type Papers } from './custody.ts'
import { type Authority, FILES, FIRST_LINE, type Identity, type Line, nodeFile } from './identity.ts'
import { type Decision, decideSetup, type Evidence } from './setupdecision.ts'

export type SetupResult =
  | {
      readonly state: 'member'
      readonly papers: Papers
      readonly clusterId: ClusterId
      /** The CA with its key, if this box has it. */
      readonly ca: CertificateAuthority | null
      /** Whether this setup made the CA, so that nobody else can be a member yet. */
      readonly founded: boolean
    }
  | { readonly state: 'waiting'; readonly why: string; readonly cluster: ClusterId | null }

export interface SetupWorld {
  readonly clock: Clock
  readonly random: Random
  readonly files: StateFiles
  readonly trust: Trust
  readonly log: Log
}

interface Write {
  readonly name: string
  readonly text: string
  readonly secret: boolean
}

export class Setup {
  readonly #world: SetupWorld
  readonly #identity: Identity
  readonly #instance: InstanceId
  readonly #newCluster: boolean
  #begunMs = 0
  #heard: Evidence['heard'] = null
  #lowerAppearedMs: number | null = null
  readonly #lower = new Set<InstanceId>()
  #state: 'new' | 'listening' | 'working' | 'done' = 'new'
  #timer: Timer | null = null
  #done: (result: SetupResult | HostError) => void = () => {}

  constructor(world: SetupWorld, identity: Identity, options: { instance: InstanceId; newCluster: boolean }) {
    this.#world = world
    this.#identity = identity
    this.#instance = options.instance
    this.#newCluster = options.newCluster
  }

  /** `done` is called once: at once, within this call, for a node that has its certificate. */
  start(done: (result: SetupResult | HostError) => void): void {
    const { id, origin } = this.#identity
    this.#done = done
    this.#begunMs = this.#world.clock.now()
    this.#state = 'listening'
    if (origin === 'copied card' || origin === 'live clone') {
      const why =
        origin === 'copied card' ? 'this card was copied from another box' : 'another box has the same identity'
      this.#world.log.warn({ id, why }, 'made a new identity')
    }
    this.#step()
  }

  /** Everything that beacons and mDNS bring; counts only while it listens. */
  heard(sighting: Sighting): void {
    if (this.#state === 'done' || sighting.cluster === null) return
    if (sighting.cluster !== NO_CLUSTER) {
      // Of one that it has left this box wants nothing: that it was switched off before it was alone changes nothing.
      if (this.#heard !== null || this.#identity.gaveUp.includes(sighting.cluster)) return
      this.#heard = { cluster: sighting.cluster, address: endpointText(sighting.endpoint) }
    } else {
      const { instance } = sighting
      if (instance === null || instance >= this.#instance || this.#lower.has(instance)) return
      if (this.#lower.size >= LOWER_MAX) return
      this.#lower.add(instance)
      this.#lowerAppearedMs = this.#world.clock.now() - this.#begunMs
    }
    if (this.#state === 'listening') this.#step()
  }

  /** Gives up; `done` is not called any more. */
  stop(): void {
    this.#state = 'done'
    this.#timer?.cancel()
  }

  #evidence(): Evidence {
    const { own, authority, waitingFor } = this.#identity
    return {
      certificate: own !== null,
      authority: authority === null ? 'none' : authority.privateKey === null ? 'certificate' : 'key',
      newCluster: this.#newCluster,
      listenedMs: this.#world.clock.now() - this.#begunMs,
      heard: this.#heard,
      waitingFor,
      lowerAppearedMs: this.#lowerAppearedMs,
    }
  }

  #step(): void {
    const decision = decideSetup(this.#evidence())
    if (decision.to === 'listen') return this.#listen(decision.untilMs)
    this.#timer?.cancel()
    this.#state = 'working'
    switch (decision.to) {
      case 'serve':
        return this.#serve()
      case 'issue':
        return this.#issue(this.#identity.authority!, false)
      case 'found':
        return this.#found()
      case 'wait':
        return this.#wait(decision)
    }
  }

  #listen(untilMs: number): void {
    const { clock, log } = this.#world
    if (this.#timer === null) log.info({ forMs: untilMs }, 'first setup: listening for a cluster')
    this.#timer?.cancel()
    const leftMs = untilMs - (clock.now() - this.#begunMs)
    this.#timer = clock.after(leftMs, 'cluster.setup', () => this.#step())
  }

  #serve(): void {
    const { own, authority, kept, hardware } = this.#identity
    const writes: Write[] = []
    if (authority!.privateKey !== null && kept.authority?.privateKey === null) {
      writes.push({ name: FILES.caKey, text: authority!.privateKey, secret: true })
    }
    if (kept.hardware === null || !sameTies(kept.hardware, hardware)) writes.push(this.#hardwareFile())
    // The node serves meanwhile: it has all it needs.
    this.#write(writes, (error) => {
      if (error !== null) this.#world.log.warn({ why: error.message }, 'state cannot be written')
    })
    this.#finish(member(own!, authority!, this.#identity.line, false))
  }

  #found(): void {
    const cluster = clusterId(this.#world.random)
    this.#world.log.info({ cluster }, 'first setup: heard nobody, making the CA of a new cluster')
    this.#world.trust.makeAuthority(cluster, (ca) => {
      if (this.#state !== 'working') return
      if (ca instanceof HostError) return this.#finish(ca)
      const facts = this.#world.trust.read(ca.certificate)
      if (facts instanceof HostError) return this.#finish(facts)
      // Another box was faster: this CA has never been shown to anybody.
      const again = decideSetup(this.#evidence())
      if (again.to === 'wait') return this.#wait(again)
      const fingerprint = facts.kind === 'ca' ? facts.fingerprint : ''
      this.#issue({ ...ca, clusterId: cluster, fingerprint }, true)
    })
  }

  #issue(authority: Authority, founded: boolean): void {
    const { trust } = this.#world
    const ca = { certificate: authority.certificate, privateKey: authority.privateKey! }
    const { id, kept } = this.#identity
    trust.makeKeys((keys) => {
      if (this.#state !== 'working') return
      if (keys instanceof HostError) return this.#finish(keys)
      trust.issue(ca, id, keys.publicKey, (certificate) => {
        if (this.#state !== 'working') return
        if (certificate instanceof HostError) return this.#finish(certificate)
        const own = { certificate, privateKey: keys.privateKey }
        const sameCa = kept.authority?.fingerprint === authority.fingerprint
        const writes: Write[] = [
          ...this.#withdrawn(),
          this.#nodeFile(null, founded && !this.#newCluster),
          { name: FILES.key, text: own.privateKey, secret: true },
          // The key first: a CA certificate without its key would have this box wait to be let in by itself.
          ...(sameCa && kept.authority?.privateKey !== null ? [] : [caKeyFile(ca)]),
          ...(sameCa ? [] : [{ name: FILES.caCertificate, text: ca.certificate, secret: false }]),
          { name: FILES.certificate, text: certificate, secret: false },
          this.#hardwareFile(),
        ]
        this.#write(writes, (error) => {
          if (this.#state !== 'working') return
          if (error !== null) return this.#finish(error)
          this.#world.log.info({ id, cluster: authority.clusterId }, 'issued the certificate of this node')
          this.#finish(member(own, authority, sameCa ? this.#identity.line : FIRST_LINE, founded))
        })
      })
    })
  }

  #wait(decision: Decision & { to: 'wait' }): void {
    const { id, authority, kept } = this.#identity
    const writes: Write[] = [...this.#withdrawn(), this.#nodeFile(decision.cluster, false)]
    if (authority !== null && authority.fingerprint !== kept.authority?.fingerprint) {
      writes.push({ name: FILES.caKey, text: '', secret: true })
      writes.push({ name: FILES.caCertificate, text: authority.certificate, secret: false })
    }
    this.#write([...writes, this.#hardwareFile()], (error) => {
      if (this.#state !== 'working') return
      if (error !== null) return this.#finish(error)
      this.#world.log.warn({ id, cluster: decision.cluster ?? authority?.clusterId }, decision.why)
      this.#finish({ state: 'waiting', why: decision.why, cluster: decision.cluster })
    })
  }

  /** The certificate of an identity that was given up goes first: nothing that follows fits it. */
  #withdrawn(): Write[] {
    return this.#identity.kept.certificate ? [{ name: FILES.certificate, text: '', secret: false }] : []
  }

  #nodeFile(waitingFor: ClusterId | null, founded: boolean): Write {
    const { id, gaveUp } = this.#identity
    // A setup that was cut off begins again with the CA that it has made.
    return { ...nodeFile({ id, gaveUp, waitingFor, founded: founded || this.#identity.founded }), secret: false }
  }

  /** Written last: as long as it tells of other hardware, the next start makes a new identity again. */
  #hardwareFile(): Write {
    return { name: FILES.hardware, text: `${JSON.stringify(this.#identity.hardware, null, 2)}\n`, secret: false }
  }

  #write(writes: readonly Write[], done: (error: HostError | null) => void): void {
    const [first, ...rest] = writes
    if (first === undefined) return done(null)
    this.#world.files.write(first.name, Buffer.from(first.text), first.secret, (error) =>
      error === null ? this.#write(rest, done) : done(error),
    )
  }

  #finish(result: SetupResult | HostError): void {
    this.#state = 'done'
    this.#done(result)
  }
}

/** Fresh boxes that one setup gives way to; more are somebody's joke. */
const LOWER_MAX = 64

const caKeyFile = (ca: CertificateAuthority): Write => ({ name: FILES.caKey, text: ca.privateKey, secret: true })

function member(own: NonNullable<Identity['own']>, authority: Authority, line: Line, founded: boolean): SetupResult {
  const papers = { ...line, own, authority }
  return { state: 'member', papers, clusterId: authority.clusterId, ca: caOf(authority), founded }
}
