// Statements that no test names yet, each with its reason. This list only shrinks.

export const untested: Readonly<Record<string, string>> = {}
