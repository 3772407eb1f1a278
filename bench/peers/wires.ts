/** The protocols of the contestants, behind one narrow door: a pair sends numbered messages, and is told what was confirmed and what came. */
import { MqttWire, type MqttWireSettings } from './mqttWire.ts'
import { PosthasteWire, type PosthasteWireSettings } from './posthasteWire.ts'

/** One sender and one receiver of some protocol. */
export interface Wire {
  /** Connects both, the receiver ready for whatever the sender sends. */
  connect(): Promise<void>
  /** Sends the messages with these numbers, in this order, in one write. */
  send(first: number, count: number): void
}

/** What a pair does with what its wire says. */
export interface Arrivals {
  /** The server has confirmed so many more messages: what it calls safe, by its own words. */
  confirmed(count: number): void
  /** The receiver has got a message with this body, and acknowledges it. */
  arrived(body: Uint8Array): void
  /** Everything that came at once has been told. */
  end(): void
}

/** What a wire needs to know, by its protocol. */
export type WireSettings = PosthasteWireSettings | MqttWireSettings

/** The wire of the pair with this number. @param body what every message carries; the first 4 bytes become its number */
export function wireOf(settings: WireSettings, number: number, body: Uint8Array, arrivals: Arrivals): Wire {
  switch (settings.protocol) {
    case 'posthaste':
      return new PosthasteWire(settings, number, body, arrivals)
    case 'mqtt':
      return new MqttWire(settings, number, body, arrivals)
  }
}
