import { decodeClientMessage, decodeServerMessage } from '@posthaste/protocol'
import { contentOfBody } from '../history.ts'
import type { Link } from './network.ts'
import type { Recorder } from './recorder.ts'
import type { World } from './world.ts'

/** What has lain untaken for so long, the server has had time to notice. */
const untakenMs = 5_000
/** The state of a user of which a watcher is told nothing. */
const notToBeKnown = 2

/** Who stands at the server's door and writes down what goes in and out: entries and what is skipped, acknowledgements, presence. */
export class Wire {
  readonly #world: World
  readonly #recorder: Recorder
  #connections = 0

  constructor(world: World, recorder: Recorder) {
    this.#world = world
    this.#recorder = recorder
  }

  /** A connection has come to the server. */
  opened(link: Link, epoch: number): void {
    this.#connections += 1
    link.number = this.#connections
    this.#recorder.record({ kind: 'connected', connection: link.number, store: link.store, epoch })
  }

  /** A message goes out. */
  out(link: Link, bytes: Uint8Array): void {
    const { number: connection } = link
    for (const packet of decodeServerMessage(bytes)) {
      if (packet.kind === 'deliver') {
        const { log, lane, seq, echoTo, body } = packet
        const what = { isEntry: true, isEcho: echoTo !== null, content: contentOfBody(body), bytes: body.length }
        this.#recorder.record({ kind: 'wrote', connection, log, lane, from: seq, to: seq, ...what })
      } else if (packet.kind === 'skip') {
        const { log, lane, from, to } = packet
        const what = { isEntry: false, isEcho: false, content: 0, bytes: 0 }
        this.#recorder.record({ kind: 'wrote', connection, log, lane, from, to, ...what })
      } else if (packet.kind === 'presence' && packet.state !== notToBeKnown)
        this.#recorder.record({ kind: 'shown', what: 'presence', store: link.store, user: packet.user })
      else if (packet.kind === 'typingEvent') {
        const what = packet.toKind === 0 ? 'typing' : 'typing to a group'
        this.#recorder.record({ kind: 'shown', what, store: link.store, user: packet.senderName })
      }
    }
    const untaken = link.isHeld ? link.heldBytesSince(this.#world.nowMs - untakenMs) : 0
    if (untaken > 0) this.#recorder.record({ kind: 'untaken', connection, bytes: untaken })
  }

  /** A message comes in. */
  in(link: Link, bytes: Uint8Array): void {
    for (const packet of decodeClientMessage(bytes)) {
      if (packet.kind !== 'ack') continue
      const { log, lane, upTo } = packet
      this.#recorder.record({ kind: 'acked', connection: link.number, log, lane, upTo })
    }
  }
}
