// Counters by name: every drop, refusal, retry and close reason has one (STYLE 11).

export class Meter {
  readonly #counts = new Map<string, number>()
  /** In their order; null: there are new ones among them. */
  #names: readonly string[] | null = null

  count(name: string, by = 1): void {
    const before = this.#counts.get(name)
    if (before === undefined) this.#names = null
    this.#counts.set(name, (before ?? 0) + by)
  }

  get(name: string): number {
    return this.#counts.get(name) ?? 0
  }

  /** All counters, by name. */
  all(): Readonly<Record<string, number>> {
    this.#names ??= [...this.#counts.keys()].sort()
    const all: Record<string, number> = {}
    for (const name of this.#names) all[name] = this.get(name)
    return all
  }
}
