// "Did you mean ...?": the nearest of a few known words, or nothing when none is near.

/** Edits (insert, delete, replace, swap of neighbours) from one word to the other. */
export function distance(from: string, to: string): number {
  let before: number[] = []
  let last = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let row = 1; row <= from.length; row++) {
    const next = [row]
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1]
      let edits = Math.min(last[column]! + 1, next[column - 1]! + 1, last[column - 1]! + (same ? 0 : 1))
      if (row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]) {
        edits = Math.min(edits, before[column - 2]! + 1)
      }
      next.push(edits)
    }
    before = last
    last = next
  }
  return last[to.length]!
}

/** `deadAfter`, `dead-after` and `dead_after` are one word. */
const plain = (word: string): string =>
  word
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replace(/-/g, '_')
    .toLowerCase()

export function nearest(word: string, known: Iterable<string>): string | null {
  const wanted = plain(word).slice(0, 64)
  let best: string | null = null
  let fewest = Math.max(1, Math.floor(wanted.length / 3)) + 1
  for (const candidate of known) {
    const edits = distance(wanted, plain(candidate))
    if (edits < fewest) {
      fewest = edits
      best = candidate
    }
  }
  return best
}
