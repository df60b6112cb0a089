// A double-ended queue in a ring: constant time at both ends, memory given back when it empties.

const SMALLEST = 8

export class Deque<T> {
  #ring: (T | undefined)[] = new Array(SMALLEST)
  #head = 0
  #length = 0

  get length(): number {
    return this.#length
  }

  push(item: T): void {
    if (this.#length === this.#ring.length) this.#resize(this.#ring.length * 2)
    this.#ring[(this.#head + this.#length++) & (this.#ring.length - 1)] = item
  }

  unshift(item: T): void {
    if (this.#length === this.#ring.length) this.#resize(this.#ring.length * 2)
    this.#head = (this.#head - 1) & (this.#ring.length - 1)
    this.#ring[this.#head] = item
    this.#length++
  }

  shift(): T | undefined {
    if (this.#length === 0) return undefined
    const item = this.#ring[this.#head]
    this.#ring[this.#head] = undefined
    this.#head = (this.#head + 1) & (this.#ring.length - 1)
    this.#length--
    if (this.#length === 0 && this.#ring.length > SMALLEST) this.clear()
    return item
  }

  pop(): T | undefined {
    if (this.#length === 0) return undefined
    const at = (this.#head + --this.#length) & (this.#ring.length - 1)
    const item = this.#ring[at]
    this.#ring[at] = undefined
    if (this.#length === 0 && this.#ring.length > SMALLEST) this.clear()
    return item
  }

  peek(): T | undefined {
    return this.#length === 0 ? undefined : this.#ring[this.#head]
  }

  /** The item `index` places behind the head. */
  at(index: number): T | undefined {
    return index < 0 || index >= this.#length ? undefined : this.#ring[(this.#head + index) & (this.#ring.length - 1)]
  }

  /** Moves the last item to `index`, before what stands there. */
  moveLast(index: number): void {
    const mask = this.#ring.length - 1
    const item = this.at(this.#length - 1)
    for (let at = this.#length - 1; at > index; at--) {
      this.#ring[(this.#head + at) & mask] = this.#ring[(this.#head + at - 1) & mask]
    }
    this.#ring[(this.#head + index) & mask] = item
  }

  clear(): void {
    this.#ring = new Array(SMALLEST)
    this.#head = 0
    this.#length = 0
  }

  *[Symbol.iterator](): IterableIterator<T> {
    for (let index = 0; index < this.#length; index++) yield this.at(index)!
  }

  #resize(capacity: number): void {
    const ring: (T | undefined)[] = new Array(capacity)
    for (let index = 0; index < this.#length; index++) ring[index] = this.at(index)
    this.#ring = ring
    this.#head = 0
  }
}
