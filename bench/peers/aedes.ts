/** Aedes, the MQTT broker for Node, at its defaults. */
import { Child } from '../child.ts'
import type { Qos } from './mqtt.ts'
import type { Peer } from './peer.ts'
import { installedVersion } from './serverProcess.ts'

/** Aedes at both qualities of service. */
export const aedes: readonly Peer[] = [aedesPeer(1, 'PUBACK'), aedesPeer(2, 'PUBCOMP')]

function aedesPeer(qos: Qos, confirmation: string): Peer {
  return {
    id: `aedes-qos${qos}`,
    name: `Aedes QoS ${qos}`,
    survives: 'none',
    because: 'keeps sessions and messages in memory (aedes-persistence)',
    settings: `persistent sessions, 100 deliveries at a time (concurrency); a confirmation is ${confirmation}`,
    version: () => installedVersion('aedes'),
    async start() {
      const server = new Child('peers/aedesServer.ts', {})
      const port = await server.ask<number>('port')
      return { pid: server.process.pid ?? 0, wire: { protocol: 'mqtt', port, qos }, stop: () => server.kill() }
    },
  }
}
