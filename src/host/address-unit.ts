// The daemon's end of the small program that holds the floating address (systemd/edge-mqtt-address): a unix socket of
// lines. That program comes to us, since we have fewer rights than it has, and one of it is enough.
//
//   to it    hold INTERFACE A.B.C.D/N LEASE_MS      announce      release
//   from it  held MAC      answered MAC      conflict MAC      lapsed      failed TEXT

import { chmodSync, lstatSync, unlinkSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import type { AddressUnit, AddressUnitEvents } from '../base/ports/addressunit.ts'
import { errorWords } from './host-errors.ts'

const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/
/** Of a line, and of what may wait for a program that does not read. */
const LINE_BYTES_MAX = 1024

export class SocketAddressUnit implements AddressUnit {
  readonly #path: string
  #problem: string | null = null
  #events: AddressUnitEvents | null = null
  #server: Server | null = null
  #unit: Socket | null = null

  constructor(path: string) {
    this.#path = path
  }

  problem(): string | null {
    return this.#problem
  }

  open(events: AddressUnitEvents): void {
    this.#events = events
    if (this.#server === null) this.#listen()
    else if (this.#unit !== null) events.present(true)
  }

  hold(interfaceName: string, address: string, leaseMs: number): void {
    this.#say(`hold ${interfaceName} ${address} ${Math.round(leaseMs)}`)
  }

  announce(): void {
    this.#say('announce')
  }

  release(): void {
    this.#say('release')
  }

  close(): void {
    this.#events = null
    this.#unit?.destroy()
    this.#server?.close()
    this.#server = null
  }

  #listen(): void {
    try {
      // What a killed daemon has left behind; the place is ours, or the control socket had not been opened.
      if (lstatSync(this.#path, { throwIfNoEntry: false })?.isSocket()) unlinkSync(this.#path)
    } catch (error) {
      return this.#failed(error)
    }
    const server = createServer((socket) => this.#came(socket))
    this.#server = server
    server.on('error', (error) => this.#failed(error))
    server.listen(this.#path, () => {
      try {
        chmodSync(this.#path, 0o660)
      } catch (error) {
        this.#failed(error)
      }
    })
  }

  #failed(error: unknown): void {
    this.#problem = `${this.#path}: ${errorWords(error)}`
  }

  #came(socket: Socket): void {
    if (this.#unit !== null) return void socket.destroy()
    this.#unit = socket
    let rest = ''
    socket.setEncoding('latin1')
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      this.#unit = null
      this.#events?.present(false)
    })
    socket.on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop()!
      if (rest.length > LINE_BYTES_MAX) return void socket.destroy()
      for (const line of lines) this.#heard(line)
    })
    this.#events?.present(true)
  }

  #heard(line: string): void {
    const events = this.#events
    const [, word, detail] = /^([a-z]+) ?([\x20-\x7e]{0,200})$/.exec(line) ?? []
    if (events === null || word === undefined || detail === undefined) return
    if (word === 'failed') return events.failed(detail)
    if (word === 'lapsed') return events.lapsed()
    if (!MAC.test(detail)) return
    if (word === 'held') events.held(detail)
    else if (word === 'answered') events.answered(detail)
    else if (word === 'conflict') events.conflict(detail)
  }

  #say(line: string): void {
    const unit = this.#unit
    if (unit === null) return
    // It hangs: without its lease renewed it is not believed to hold anything either.
    if (unit.writableLength > LINE_BYTES_MAX) return void unit.destroy()
    unit.write(`${line}\n`)
  }
}
