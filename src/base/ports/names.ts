// Multicast DNS service discovery as the core sees it (RFC 6762, RFC 6763).

export interface ServiceType {
  /** Without underscores, for example `edge-mqtt`, `mqtt`. */
  readonly name: string
  readonly port: number
  /** The instance's name; made unique by the caller (a duplicate is refused silently by the network). */
  readonly instance: string
  readonly text: Readonly<Record<string, string>>
}

export interface FoundService {
  readonly instance: string
  /** IPv4 addresses it answered with. */
  readonly addresses: readonly string[]
  readonly port: number
  readonly text: Readonly<Record<string, string>>
}

export interface Announcement {
  /** Says goodbye on the network, then calls `done` (at most a second later, whatever happens). */
  withdraw(done: () => void): void
}

export interface Names {
  /** Publishes a service on every interface of `interfaces` (names; re-published as interfaces come and go). */
  announce(service: ServiceType, wants: (interfaceName: string) => boolean): Announcement
  /**
   * Answers for a host name that other boxes answer for as well (`edge-mqtt.local`), with the address of the interface
   * that was asked on.
   */
  share(name: string, wants: (interfaceName: string) => boolean): Announcement
  /** Looks for services of a type until the returned function is called; an instance may be found again at any time. */
  browse(type: string, wants: (interfaceName: string) => boolean, found: (service: FoundService) => void): () => void
  /** What keeps it from working now, in words for `problems`; null when all is well. */
  problem(): string | null
}
