// Power cuts on the real engine: whatever the card holds then, everything that was safe is there, and a control without
// flushes shows that this test can see a loss.

import { expect, test } from 'vitest'
import type { Kept } from '../../../src/broker/ports.ts'
import { LogEngine } from '../../../src/host/log-engine.ts'
import { Card, type Unflushed } from '../../power-cut.ts'
import { StoreBox } from './store-box.ts'

const CUTS = Number(process.env['EDGE_CUTS'] ?? 60)
const COMMITS = 120

/** Numbers in [0, 1), the same for the same seed. */
function dice(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 0x1_0000_0000
  }
}

/** Every version of a record with the position that makes it safe; null: removed. */
type Story = Map<number, { readonly position: number; readonly value: string | null }[]>

/** Writes, rewrites and removes records for a while; `safeAt[step]` is what was safe when the card was at that step. */
async function live(card: Card): Promise<{ story: Story; safeAt: number[] }> {
  const box = await new StoreBox(new LogEngine(card)).open()
  const { store } = box
  const chance = dice(7)
  const story: Story = new Map()
  const living: Kept[] = []
  const values = new Map<number, { value: string }>()
  const safeAt: number[] = []
  const note = () => {
    while (safeAt.length <= card.steps.length) safeAt.push(0)
    safeAt[card.steps.length] = store.safe
  }
  store.watch(note)
  for (let commit = 0; commit < COMMITS; commit++) {
    for (let change = 0; change < 6; change++) {
      const what = chance()
      const kept = living[Math.floor(chance() * living.length)]
      const value = `${commit}.${change} ${'v'.repeat(Math.floor(chance() * 50_000))}`
      if (what < 0.5 || kept === undefined) {
        const held = { value }
        const made = store.put({ kind: 100, write: (into) => into.raw(Buffer.from(held.value)) })
        values.set(made.id, held)
        living.push(made)
        story.set(made.id, [{ position: store.position, value }])
      } else if (what < 0.7) {
        values.get(kept.id)!.value = value
        story.get(kept.id)!.push({ position: store.changed(kept), value })
      } else {
        living.splice(living.indexOf(kept), 1)
        store.remove(kept)
        story.get(kept.id)!.push({ position: store.position, value: null })
      }
    }
    await box.commit()
    note()
  }
  return { story, safeAt }
}

/** What the card's content lacks, or has too much, when it was cut at `step`. */
async function losses(card: Card, story: Story, safe: number): Promise<string[]> {
  const box = await new StoreBox(new LogEngine(card)).open()
  const wrong: string[] = box.store.problems.map((problem) => `problem: ${problem}`)
  const { texts } = box
  for (const [id, versions] of story) {
    const settled = versions.findLastIndex(({ position }) => position <= safe)
    const may =
      settled < 0 ? [null, ...versions.map(({ value }) => value)] : versions.slice(settled).map(({ value }) => value)
    const is = texts.get(id) ?? null
    if (!may.includes(is)) wrong.push(`record ${id} is ${is?.slice(0, 12) ?? 'missing'}`)
  }
  return wrong
}

async function cuts(card: Card, count: number): Promise<{ bad: string[]; moved: number }> {
  const { story, safeAt } = await live(card)
  const chance = dice(11)
  const bad: string[] = []
  for (let index = 0; index < count; index++) {
    const step = 1 + Math.floor(chance() * card.steps.length)
    const unflushed = (['kept', 'dropped', 'torn', 'torn'] as const)[index % 4] as Unflushed
    const safe = Math.max(0, ...safeAt.slice(0, step + 1))
    const wrong = await losses(card.after(step, unflushed, chance), story, safe)
    if (wrong.length > 0) bad.push(`cut at step ${step}, ${unflushed}: ${wrong.slice(0, 3).join(', ')}`)
  }
  return { bad, moved: card.steps.length }
}

test(`${CUTS} power cuts with kept, dropped and torn writes: everything safe is there`, {
  timeout: 600_000,
}, async () => {
  const { bad, moved } = await cuts(new Card(), CUTS)
  expect(bad).toEqual([])
  expect(moved).toBeGreaterThan(COMMITS * 2)
})

test('the control: a card that does not flush loses what was safe', { timeout: 600_000 }, async () => {
  const { bad } = await cuts(new Card(false), 20)
  expect(bad.filter((words) => words.includes('is missing')).length).toBeGreaterThan(5)
})
