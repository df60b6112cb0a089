// Statements that no test names yet, each with its reason. Who writes the test takes the line away: the list only
// shrinks.

const AUTH = 'there is no enhanced authentication yet'

export const untested: Readonly<Record<string, string>> = {
  'MQTT-3.15.2-2': AUTH,
  'MQTT-3.15.2-3': AUTH,
  'MQTT-4.12.0-2': AUTH,
  'MQTT-4.12.0-3': AUTH,
  'MQTT-4.12.0-5': AUTH,
  'MQTT-4.12.1-2': AUTH,
  'MQTT3-7.0.0-1': 'there are no bridges yet',
}
