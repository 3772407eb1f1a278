import type { ServerPacket, ServerPacketOf } from '@posthaste/protocol'
import { Client } from '../../packages/core/test/client.ts'
import { Violation } from './target.ts'

/** What the bodies of honest clients begin with: nobody else may ever get one. */
export const secret = 'secret'

/** A client that follows no rules: it remembers what it was told, so that its lies are near the truth. */
export class HostileClient extends Client {
  /** The ref that the server expects next, as far as known. */
  nextRef = 1
  refusedRef = 0
  /** The token of the latest real-time message. */
  token = 0
  /** The latest entries that it was sent. */
  readonly entries: ServerPacketOf<'deliver'>[] = []

  override connect(...hello: Parameters<Client['connect']>): void {
    this.nextRef = 1
    this.refusedRef = 0
    super.connect(...hello)
  }

  override take(packets: readonly ServerPacket[]): void {
    for (const packet of packets) this.#note(packet)
  }

  #note(packet: ServerPacket): void {
    switch (packet.kind) {
      case 'welcome':
        this.epoch = packet.epoch
        this.identity = packet.identity
        this.phase = 'live'
        return
      case 'refuse':
        this.refusedRef = packet.ref
        return
      case 'realtimeDeliver':
        this.token = packet.token
        return
      case 'deliver':
        if (Buffer.from(packet.body).toString('latin1').startsWith(secret)) throw new Violation(`${this.user} got a secret`)
        this.entries.unshift(packet)
        if (this.entries.length > 4) this.entries.pop()
        return
      case 'error':
        this.world.hangUp(this.connection)
        return this.lost()
      default:
    }
  }
}
