// Does this filter match this topic? The rules of MQTT 4.7 as plainly as they can be written: the model that the trie
// and the topic tree are tested against, and good enough for a single question.

export function matches(filter: string, topic: string): boolean {
  // [MQTT-4.7.2-1] A filter that begins with a wildcard does not match topics that begin with `$`.
  if (topic.startsWith('$') && (filter.startsWith('+') || filter.startsWith('#'))) return false
  const wanted = filter.split('/')
  const given = topic.split('/')
  for (const [index, level] of wanted.entries()) {
    // `#` also stands for no level at all: `a/#` matches `a`.
    if (level === '#') return true
    if (index >= given.length) return false
    if (level !== '+' && level !== given[index]) return false
  }
  return wanted.length === given.length
}
