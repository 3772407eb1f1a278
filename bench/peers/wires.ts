/** The wire of each protocol. */
import { MqttWire, type MqttWireSettings } from './mqttWire.ts'
import { PosthasteWire, type PosthasteWireSettings } from './posthasteWire.ts'
import type { Arrivals, Wire } from './wire.ts'

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
