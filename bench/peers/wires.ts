/** The wire of each protocol. */
import { AmqpWire, type AmqpWireSettings } from './amqpWire.ts'
import { MqttWire, type MqttWireSettings } from './mqttWire.ts'
import { NatsWire, type NatsWireSettings } from './natsWire.ts'
import { PosthasteWire, type PosthasteWireSettings } from './posthasteWire.ts'
import { RedisWire, type RedisWireSettings } from './redisWire.ts'
import { SocketIoWire, type SocketIoWireSettings } from './socketIoWire.ts'
import type { Arrivals, Wire } from './wire.ts'

/** What a wire needs to know, by its protocol. */
export type WireSettings =
  | PosthasteWireSettings
  | AmqpWireSettings
  | MqttWireSettings
  | NatsWireSettings
  | RedisWireSettings
  | SocketIoWireSettings

/** The wire of the pair with this number. @param body what every message carries; the first 4 bytes become its number */
export function wireOf(settings: WireSettings, number: number, body: Uint8Array, arrivals: Arrivals): Wire {
  switch (settings.protocol) {
    case 'posthaste':
      return new PosthasteWire(settings, number, body, arrivals)
    case 'mqtt':
      return new MqttWire(settings, number, body, arrivals)
    case 'nats':
      return new NatsWire(settings, number, body, arrivals)
    case 'redis':
      return new RedisWire(settings, number, body, arrivals)
    case 'socket.io':
      return new SocketIoWire(settings, number, body, arrivals)
    case 'amqp':
      return new AmqpWire(settings, number, body, arrivals)
  }
}
