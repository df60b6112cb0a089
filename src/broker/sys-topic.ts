// Which topics and filters are the broker's own word about this node.

const SYS = '$SYS/'

/** True for topics below `$SYS`, and for filters that match nothing else. */
export const isSys = (text: string): boolean => text.startsWith(SYS) || text === '$SYS'
