// Statements that no test names yet, each with its reason. Who writes the test takes the line away: the list only
// shrinks.

export const untested: Readonly<Record<string, string>> = {
  'MQTT3-7.0.0-1': 'there are no bridges yet',
}
