// Boxes with a broker each, joined by channels in memory: for tests of sessions that go from box to box.

import type { ClientId, NodeId } from '../../../src/base/ids.ts'
import { Positions } from '../../../src/base/positions.ts'
import type { Claims, SessionView } from '../../../src/broker/ports.ts'
import { defaultBrokerSettings } from '../../../src/broker/settings.ts'
import { ClusterPeers } from '../../../src/cluster/clusterpeers.ts'
import { Forwarding } from '../../../src/cluster/forwarding/forwarding.ts'
import { Safekeeping } from '../../../src/cluster/forwarding/parking.ts'
import { Routes } from '../../../src/cluster/forwarding/routes.ts'
import { Shares } from '../../../src/cluster/forwarding/shares.ts'
import { Replicated } from '../../../src/cluster/maps/replicated.ts'
import { CopiedRecords } from '../../../src/cluster/sessions/copiedrecords.ts'
import { Copies } from '../../../src/cluster/sessions/copies.ts'
import { PassingMarks } from '../../../src/cluster/sessions/copymarks.ts'
import { Directory } from '../../../src/cluster/sessions/directory.ts'
import { SharedSessions } from '../../../src/cluster/sessions/sharedsessions.ts'
import { defaultClusterSettings } from '../../../src/cluster/settings.ts'
import { MemoryRecords } from '../../../src/store/memory-records.ts'
import { Lab } from '../../conformance/lab.ts'
import { Mesh, type MeshNode, nodeIdOf } from '../../mesh.ts'

export const A = nodeIdOf(0xa)
export const B = nodeIdOf(0xb)
export const C = nodeIdOf(0xc)

export class SessionBox {
  readonly id: NodeId
  readonly node: MeshNode
  readonly lab: Lab
  readonly directory: Directory
  readonly sessions: SharedSessions
  readonly copies: Copies

  constructor(mesh: Mesh, id: NodeId, copies = 2, before: readonly NodeId[] = []) {
    this.id = id
    const node = mesh.start(id)
    this.node = node
    const positions = new Positions(mesh.clock)
    const keeper = new CopiedRecords(new MemoryRecords(positions), positions)
    const replicated = new Replicated(node.world, node.stamps, keeper)
    this.directory = new Directory((options, events) => replicated.open(options, events))
    replicated.attach(node)
    const routes = new Routes(node.world, node, node, node.stamps)
    const local = () => this.lab.broker
    const { linkQueue } = defaultClusterSettings
    const keeping = new Safekeeping(keeper, positions, () => defaultBrokerSettings.sessions.queue)
    const shares = new Shares(node.world, node, node, node.stamps, () => 'local')
    const forwarding = new Forwarding(node.world, node, node, routes, { shares, bounds: linkQueue, local, keeping })
    this.copies = new Copies(node.world, node, node, {
      ...{ directory: this.directory, records: keeper, positions, marks: new PassingMarks() },
      local: () => this.lab.broker.transfer,
      wanted: () => copies,
      nameOf: (member) => `box ${member.at(-1)}`,
      backedUpBy: (session, backup) => this.sessions.backedUpBy(session, backup),
      stoodIn: (clientId) => this.sessions.look(clientId),
      stands: (owner, by) => forwarding.handOver(owner, by),
    })
    this.sessions = new SharedSessions(node.world, node, node, node.stamps, this.directory, {
      local: () => this.lab.broker.transfer,
      heartbeatMs: () => 1000,
      before,
      copies: this.copies,
      barrier: (...ask) => forwarding.barriers.ask(...ask),
    })
    const claims: Claims = this.sessions
    this.lab = new Lab({
      clock: mesh.clock,
      keeper,
      claims,
      peers: new ClusterPeers(routes, shares, forwarding),
      node: id,
    })
  }

  session(clientId: string): SessionView | undefined {
    return this.lab.broker.transfer.get(clientId as ClientId)
  }

  /** What the box thinks of the client's session: owner and whether it is over. */
  entry(clientId: string): string | null {
    const entry = this.directory.get(clientId as ClientId)
    return entry === null ? null : entry.over ? 'over' : entry.owner.at(-1)!
  }
}

/** Boxes that are all linked, after their first second. */
/** `copies` as it is configured on all of them. */
export function boxesWith(
  copies: number,
  ...ids: NodeId[]
): { readonly mesh: Mesh; readonly boxes: readonly SessionBox[] } {
  const mesh = new Mesh()
  const made = ids.map((id) => new SessionBox(mesh, id, copies))
  for (const [index, id] of ids.entries()) for (const other of ids.slice(index + 1)) mesh.link(id, other)
  mesh.clock.advance(1000)
  return { mesh, boxes: made }
}

export const boxes = (...ids: NodeId[]) => boxesWith(2, ...ids)

/** A box is gone, as the others see it: its links at once, its death later. */
export function kill(mesh: Mesh, dead: SessionBox, others: readonly SessionBox[]): void {
  for (const other of others) mesh.cut(dead.id, other.id)
  for (const other of others) other.node.sees(dead.id, 'dead', false)
}
