// A daemon's own account of itself, asked at its socket: what `edge-mqtt status --json` prints, without starting Node.js
// each time. A test that waits asks many times a second.

import type { NodeStatus } from '../../src/compose.ts'

/** A box answers within a turn of its loop; a crowded machine may not have a core for it so soon. */
export const STATUS_MS = 30_000

/** Puts a line to a unix socket and prints all of the answer: Perl is on every Debian. */
const ASK = `my $socket = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "$ARGV[0]: $!\\n";
  print $socket '{"edge-mqtt":1,"command":"status"}', "\\n"; print <$socket>`

/** `run` runs a command to which it adds the socket, and gives what it printed. */
export function statusFrom(run: (...command: readonly [string, ...string[]]) => string): NodeStatus {
  const { ok, result, error } = JSON.parse(run('perl', '-MIO::Socket::UNIX', '-e', ASK))
  if (!ok) throw new Error(error)
  return result as NodeStatus
}
