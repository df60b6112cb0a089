// How two topic filters lie to each other: what an access rule says of a whole subscription, before any message comes.

/** Whether some topic matches both. */
export function filtersMeet(a: string, b: string): boolean {
  if (wildFirst(a) ? b.startsWith('$') : wildFirst(b) && a.startsWith('$')) return false
  const left = a.split('/')
  const right = b.split('/')
  for (let index = 0; ; index++) {
    const [one, other] = [left[index], right[index]]
    // `#` also stands for no level at all.
    if (one === '#' || other === '#') return true
    if (one === undefined || other === undefined) return one === other
    if (one !== '+' && other !== '+' && one !== other) return false
  }
}

/** Whether `wide` matches every topic that `narrow` matches. */
export function filterCovers(wide: string, narrow: string): boolean {
  // [MQTT-4.7.2-1]
  if (wildFirst(wide) && narrow.startsWith('$')) return false
  // Of topics there is none without a level, so these two are the same.
  if (wide === '+/#') return true
  const left = wide.split('/')
  const right = narrow.split('/')
  for (let index = 0; ; index++) {
    const [one, other] = [left[index], right[index]]
    if (one === '#') return true
    if (other === '#' || one === undefined || other === undefined) return one === other
    if (one !== other && (one !== '+' || other === '#')) return false
  }
}

const wildFirst = (filter: string): boolean => filter.startsWith('+') || filter.startsWith('#')
