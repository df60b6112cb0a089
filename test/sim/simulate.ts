// One seed, one story: nodes find each other, clients talk, a storm comes and goes, and the cluster must have settled
// by the deadline. The same seed always tells the same story.

import { compose } from '../../src/compose.ts'
import { checkAccounts } from './checkers/accounts.ts'
import { checkAcknowledged } from './checkers/acknowledged.ts'
import { checkAnswers } from './checkers/answers.ts'
import { checkDelivery } from './checkers/delivery.ts'
import type { Ground } from './checkers/ground.ts'
import { checkGroups } from './checkers/groups.ts'
import { checkLastWords, staleStatuses } from './checkers/lastwords.ts'
import { missingLinks, surplusLinks } from './checkers/links.ts'
import { MemberWatch } from './checkers/members.ts'
import { checkRetained, checkTold, DAY_MS, type Shown } from './checkers/retained.ts'
import { wrongRoutes } from './checkers/routes.ts'
import { checkSessions, surplusConnections } from './checkers/sessions.ts'
import { missingTrust, wrongTime } from './checkers/trust.ts'
import { Crowd } from './crowd.ts'
import { Mortals } from './mortals.ts'
import { LATE_MS } from './network.ts'
import { accountsOf, People } from './people.ts'
import { probe } from './probes.ts'
import { type PromiseName, Promises } from './promises.ts'
import { describe, drawScenario, type Scenario } from './scenario.ts'
import { Storm } from './storm.ts'
import { TrustStorm } from './trust-storm.ts'
import { Workers } from './workers.ts'
import { type Build, World } from './world.ts'

export interface SimulateOptions {
  /** Prints every event and log line. */
  readonly trace?: (line: string) => void
  /** Builds a node; planted bugs come in here. */
  readonly build?: Build
  /** To be kept beyond those that are. */
  readonly promises?: readonly PromiseName[]
}

export interface Facts {
  readonly scenario: string
  readonly virtualMs: number
  readonly events: number
  readonly hash: string
  readonly sent: number
  readonly received: number
  /** Deliveries that nothing would have excused, and those that crossed from box to box. */
  readonly due: number
  readonly crossed: number
  /** Acknowledged messages that a session that lives on must have been given. */
  readonly acknowledged: number
  /** The same of messages for share groups. */
  readonly shared: number
  /** Wills of clients whose box had died that had to be published. */
  readonly orphaned: number
  readonly silencesJudged: number
  readonly faults: Readonly<Record<string, number>>
}

export interface Outcome {
  readonly seed: number
  readonly problems: readonly string[]
  readonly facts: Facts
}

/** More events than this in a virtual second are a loop, not a life. */
const EVENTS_PER_SECOND_MAX = 20_000
const STEP_MS = 250
/** From linked to agreed: a certificate by the new CA, the key on a second box, people who approve and ask again. */
const AGREE_WITHIN_MS = 60_000
/** Boxes that need no help agree by then: a box has so long to say that it has the key that it was handed. */
const HELPED_AFTER_MS = 15_000
/** Members tell each other the time every 5 s, a small difference is believed when it is seen twice, and passed on. */
const CLOCKS_WITHIN_MS = 15_000
/** The boxes compare their maps every 10 s. */
const COMPARED_WITHIN_MS = 12_000

export function simulate(seed: number, options: SimulateOptions = {}): Outcome {
  const world = new World(`seed ${seed}`, options.build ?? compose)
  if (options.trace !== undefined) traceInto(world, options.trace)
  const promises = new Promises(options.promises)
  const scenario = drawScenario(world, world.dice.fork('scenario'), promises)
  const story = new Story(world, scenario, promises)
  story.tell()
  return {
    seed,
    problems: world.problems,
    facts: {
      scenario: describe(scenario),
      virtualMs: world.now,
      events: world.timeline.events,
      hash: world.timeline.hash,
      sent: world.ledger.sent.length,
      received: world.ledger.received.length,
      due: story.due,
      crossed: story.crossed,
      acknowledged: story.acknowledged,
      shared: story.shared,
      orphaned: story.orphaned,
      silencesJudged: story.watch.judged,
      faults: { ...story.storm.counts, ...story.trust.counts },
    },
  }
}

/** What to type to see a seed again. */
export const replay = (seed: number): string => `npm run sim -- --seed ${seed} --trace`

class Story {
  readonly #world: World
  readonly #scenario: Scenario
  readonly watch: MemberWatch
  readonly storm: Storm
  readonly trust: TrustStorm
  readonly #crowd: Crowd
  readonly #workers: Workers
  readonly #mortals: Mortals
  readonly #people: People
  readonly #promises: Promises
  acknowledged = 0
  shared = 0
  orphaned = 0
  due = 0
  crossed = 0

  constructor(world: World, scenario: Scenario, promises: Promises) {
    this.#world = world
    this.#promises = promises
    this.#scenario = scenario
    this.watch = new MemberWatch(world, scenario)
    this.storm = new Storm(world, scenario, world.dice.fork('storm'))
    this.trust = new TrustStorm(world, scenario, world.dice.fork('trust storm'))
    this.#crowd = new Crowd(world, scenario.members, world.dice.fork('crowd'), promises)
    this.#workers = new Workers(world, scenario.members, this.#crowd, world.dice.fork('workers'))
    this.#mortals = new Mortals(world, scenario.members, this.#crowd, world.dice.fork('mortals'))
    this.#people = new People(world, scenario.members, world.dice.fork('people'))
  }

  tell(): void {
    const world = this.#world
    const dice = world.dice.fork('story')
    for (const node of world.nodes) {
      world.timeline.after(dice.between(0, 2000), null, 'world.start', () => node.start())
    }
    world.run(2000)
    this.watch.start()
    this.#settle('after the last start', this.#scenario.firstLinksMs)

    this.trust.begin()
    this.#invite()
    world.run(600)
    // A dial whose SYN was lost may still be on its way to find that there is a link already.
    const surplus = this.#scenario.quality.loss > 0 ? [] : surplusLinks(this.#scenario)
    for (const what of surplus) world.problem(`soon after the last start: ${what}`)
    for (const client of this.#crowd.talkers) this.#crowd.subscribe(client)
    this.#crowd.busy(80, 4000)
    if (this.#promises.has('accounts')) this.#people.busy(8, 4000)
    this.#workers.busy(40, 4000)
    this.#mortals.busy(10, 4000)
    world.run(4500)

    const stormMs = dice.between(4000, 10_000)
    this.#crowd.busy(100, stormMs)
    if (this.#promises.has('accounts')) this.#people.busy(12, stormMs)
    this.#workers.busy(60, stormMs)
    this.#mortals.busy(15, stormMs)
    this.storm.brew(dice.whole(1, 7), stormMs)
    this.trust.brew(stormMs)
    if (dice.chance(0.2)) {
      world.timeline.after(dice.between(0, stormMs), null, 'client.flood', () => this.#crowd.flood())
    }
    world.run(stormMs)
    this.storm.calm()
    world.trace('calm')
    // Until what was held up has come, and everybody has noticed what is broken.
    world.run(LATE_MS + this.#scenario.deadAfterMs + this.#scenario.heartbeatMs)
    this.#settle('after the storm', this.#scenario.againMs)
    this.#agree()
    this.#meet()

    world.run(1500)
    this.#atRest()
    this.#crowd.busy(60, 3000)
    this.#workers.busy(30, 3000)
    world.run(3000)
    this.#farewell()
  }

  /** Runs until every pair is linked, or says what is missing at the deadline. */
  #settle(when: string, withinMs: number): void {
    const world = this.#world
    const deadline = world.now + withinMs
    let missing = missingLinks(this.#scenario)
    while (missing.length > 0 && world.now < deadline) {
      world.run(STEP_MS)
      missing = missingLinks(this.#scenario)
    }
    for (const what of missing) world.problem(`${(withinMs / 1000).toFixed(1)} s ${when}: ${what}`)
    world.trace(missing.length === 0 ? `all linked ${when}` : 'not linked')
  }

  /** Runs until all agree on who belongs to the cluster and by which CA, or says what is missing at the deadline. */
  #agree(): void {
    const world = this.#world
    const [helped, deadline] = [world.now + HELPED_AFTER_MS, world.now + AGREE_WITHIN_MS]
    let missing = missingTrust(this.#scenario)
    while (missing.length > 0 && world.now < deadline) {
      world.run(STEP_MS)
      if (world.now >= helped) this.trust.tidyUp()
      missing = missingTrust(this.#scenario)
    }
    if (!this.#promises.has('trust')) return
    for (const what of missing) world.problem(`${AGREE_WITHIN_MS / 1000} s after all were linked: ${what}`)
  }

  /** Runs until the time of the cluster is the same on all; who has not got it by the deadline is found at rest. */
  #meet(): void {
    const world = this.#world
    const deadline = world.now + CLOCKS_WITHIN_MS
    const wrong = () => wrongTime(this.#scenario, this.#ground(), world.wallMs).length > 0
    while (world.now < deadline && wrong()) world.run(STEP_MS)
    // What was refused because its stamp was a day ahead comes with the next comparison of the maps (seed 268).
    if (this.#promises.has('clocks') && world.history.clockOffMs > DAY_MS) world.run(COMPARED_WITHIN_MS)
  }

  #invite(): void {
    const dice = this.#world.dice.fork('guests')
    const { members, foreign, waiting } = this.#scenario
    const count = dice.whole(5, 8)
    for (let index = 0; index < count; index++) {
      const stays = index < members.length || dice.chance(0.3)
      const clean = !(stays && dice.chance(0.6))
      // Where sessions follow their clients, most of these go where they like.
      const roams = !clean && this.#promises.has('sessions') && dice.chance(0.7)
      this.#crowd.add(stays && !roams ? members[index % members.length]! : null, clean)
    }
    for (const node of [foreign, waiting]) if (node !== null) this.#crowd.add(node, true)
    if (this.#promises.has('groups')) this.#workers.hire()
    if (this.#promises.has('lastwords')) this.#mortals.hire()
  }

  /** Between the storm and the last talk nothing happens: now everything must agree, and stay as it is. */
  #atRest(): void {
    const world = this.#world
    this.#crowd.closing = true
    const before = world.timeline.events
    this.watch.look()
    const since = world.now
    world.run(1000)
    this.watch.look()
    const { members } = this.#scenario
    for (const [index, a] of members.entries()) {
      for (const b of members.slice(index + 1)) {
        const linkedSince = world.history.linkedSince(a.index, b.index, since, world.now)
        if (linkedSince === null) world.problem(`at rest: the link of ${a.label} and ${b.label} did not last`)
      }
    }
    for (const what of surplusConnections(this.#scenario, world.ledger, this.#ground())) {
      world.problem(`at rest: ${what}`)
    }
    for (const what of wrongRoutes(this.#scenario, world.ledger)) world.problem(`at rest: ${what}`)
    for (const what of surplusLinks(this.#scenario)) world.problem(`at rest: ${what}`)
    world.trace(`at rest: ${world.timeline.events - before} events in a second`)
    for (const node of members) {
      for (const stream of node.run?.streams.streams() ?? []) {
        if (stream.pendingBytes === 0 || stream.lostTouch) continue
        world.problem(`at rest: ${node.label} has ${stream.pendingBytes} bytes to write`)
      }
    }
    const { waiting } = this.#scenario
    if (waiting?.up && waiting.status().cluster.state !== 'waiting') {
      world.problem(`${waiting.label} has no certificate and is ${waiting.status().cluster.state}`)
    }
    const accounts = members.map((node) => ({ label: node.label, groups: accountsOf(node) }))
    for (const what of checkAccounts(accounts, this.#people.writes, this.#ground())) world.problem(`at rest: ${what}`)
    const trust = this.#promises.has('trust') ? missingTrust(this.#scenario) : []
    for (const what of trust) world.problem(`at rest: ${what}`)
    for (const what of wrongTime(this.#scenario, this.#ground(), world.wallMs)) world.problem(`at rest: ${what}`)
    this.#lookAtRetained()
    this.#crowd.closing = false
    this.#crowd.everybodyBack()
  }

  #lookAtRetained(): void {
    const world = this.#world
    const all = [...probe(world, this.#scenario.members)].map(([{ index, label, run }, topics]): Shown => {
      return { node: index, run: run?.number ?? -1, label, topics }
    })
    for (const what of checkRetained(all, world.ledger, this.#ground())) world.problem(`at rest: ${what}`)
    for (const what of staleStatuses(all, world.ledger, this.#ground())) world.problem(`at rest: ${what}`)
  }

  #farewell(): void {
    const world = this.#world
    this.#crowd.everybodyBack()
    world.run(3500)
    this.#crowd.closing = true
    const ground = this.#ground()
    const { problems, due, crossed } = checkDelivery(world.ledger, ground)
    const acknowledged = checkAcknowledged(world.ledger, ground)
    problems.push(...acknowledged.problems)
    problems.push(...checkSessions(world.ledger, ground))
    problems.push(...checkAnswers(world.ledger, ground))
    problems.push(...checkTold(world.ledger, ground))
    const shared = checkGroups(world.ledger, ground)
    problems.push(...shared.problems)
    const orphaned = checkLastWords(world.ledger, ground, this.#scenario)
    problems.push(...orphaned.problems)
    this.orphaned = orphaned.due
    for (const problem of problems) world.problem(problem)
    this.due = due
    this.crossed = crossed
    this.acknowledged = acknowledged.due
    this.shared = shared.due
    const allowed = (world.now / 1000) * EVENTS_PER_SECOND_MAX
    if (world.timeline.events > allowed) world.problem(`${world.timeline.events} events`)
  }

  #ground(): Ground {
    const world = this.#world
    return {
      history: world.history,
      promises: this.#promises,
      now: world.now,
      machineOf: (node) => world.nodes[node]!.machine.index,
      sameCluster: (a, b) => a === b || (this.#isMember(a) && this.#isMember(b)),
      durable: (node) => world.nodes[node]!.durable,
      flushMs: (node) => world.nodes[node]!.disk.store.flushMs,
      answersMs: (client) => this.#crowd.clients.find((one) => one.plan.id === client)?.plan.ackAfterMs ?? 0,
      heartbeatMs: this.#scenario.heartbeatMs,
      members: this.#scenario.members.length,
    }
  }

  #isMember(node: number): boolean {
    return this.#scenario.members.some((one) => one.index === node)
  }
}

function traceInto(world: World, print: (line: string) => void): void {
  world.print = print
  world.ledger.note = (line) => world.trace(line)
  world.timeline.traced = (owner, name) => world.trace(`${owner?.label ?? '-'} ${name}`)
}
