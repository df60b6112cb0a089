// A hash over the entries of a part that does not depend on their order and follows each change in constant time: the
// sum of the entries' own hashes, in two independent halves of 32 bits.

export class Digest {
  #high = 0
  #low = 0

  get high(): number {
    return this.#high >>> 0
  }

  get low(): number {
    return this.#low >>> 0
  }

  add(key: string, value: Buffer): void {
    this.#high = (this.#high + hash(key, value, 0x811c9dc5, 0x01000193)) | 0
    this.#low = (this.#low + hash(key, value, 0x9e3779b9, 0x85ebca6b)) | 0
  }

  remove(key: string, value: Buffer): void {
    this.#high = (this.#high - hash(key, value, 0x811c9dc5, 0x01000193)) | 0
    this.#low = (this.#low - hash(key, value, 0x9e3779b9, 0x85ebca6b)) | 0
  }
}

/** FNV-1a over the key's code units, its length and the value, finished as MurmurHash3 does so that sums mix well. */
function hash(key: string, value: Buffer, seed: number, prime: number): number {
  let sum = seed
  for (let index = 0; index < key.length; index++) sum = Math.imul(sum ^ key.charCodeAt(index), prime)
  sum = Math.imul(sum ^ key.length, prime)
  for (let index = 0; index < value.length; index++) sum = Math.imul(sum ^ value[index]!, prime)
  sum = Math.imul(sum ^ (sum >>> 16), 0x7feb352d)
  sum = Math.imul(sum ^ (sum >>> 15), 0x846ca68b)
  return sum ^ (sum >>> 16)
}
