// What a client may publish: the one place that says so.

/** The broker's own topics are not for clients to write. */
const OWN = '$SYS/'

export const mayPublish = (topic: string): boolean => !topic.startsWith(OWN)
