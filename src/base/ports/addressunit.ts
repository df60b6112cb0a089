// The small program beside the daemon that may give this machine a further address: the daemon itself has no such right.
// It probes for the address before it takes it (RFC 5227), tells the network of it, and lets go of it by itself when it
// has not been told to hold it for the length of a lease: a daemon that is gone or hangs leaves no address behind.

export interface AddressUnitEvents {
  /** The unit is there, or gone with all that it held. */
  present(there: boolean): void
  /** The address is ours; `mac` is where it can be reached. */
  held(mac: string): void
  /** Somebody has the address, or asks for it at the same time: it was not taken. */
  answered(mac: string): void
  /** While we hold it somebody else says that it is his. */
  conflict(mac: string): void
  /** The lease was over before it was renewed. */
  lapsed(): void
  /** It could not be taken, or was lost. */
  failed(why: string): void
}

export interface AddressUnit {
  /** From now on `events` are told, and whoever was told before is not. */
  open(events: AddressUnitEvents): void
  /** Probes for the address and takes it; said again it renews the lease. `address` is `a.b.c.d/n`. */
  hold(interfaceName: string, address: string, leaseMs: number): void
  /** Tells the network anew where the address is. */
  announce(): void
  release(): void
  /** What keeps it from coming to us, in words for `problems`; null when nothing does. */
  problem(): string | null
  /** Lets go of the address and of the unit. */
  close(): void
}
