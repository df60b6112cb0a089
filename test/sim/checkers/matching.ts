// Whether a topic filter matches a topic name (MQTT 4.7), written apart from the product's. That of a share group is what
// stands behind the group's name (4.8.2): as it is it matches nothing that clients publish.

export function filterMatches(filter: string, topic: string): boolean {
  if (topic.startsWith('$') && !filter.startsWith('$')) return false
  const wanted = filter.split('/')
  const levels = topic.split('/')
  for (let index = 0; index < wanted.length; index++) {
    if (wanted[index] === '#') return true
    if (index >= levels.length) return false
    if (wanted[index] !== '+' && wanted[index] !== levels[index]) return false
  }
  return wanted.length === levels.length
}

/** The group of a shared subscription and what its messages have to match; null: not shared. */
export function groupOf(filter: string): { readonly group: string; readonly wanted: string } | null {
  const [word, group, ...rest] = filter.split('/')
  return word !== '$share' || group === undefined || rest.length === 0 ? null : { group, wanted: rest.join('/') }
}
