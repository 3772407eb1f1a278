/** Mosquitto with persistent sessions: as Debian sets it up, and with its database saved as often as it can be. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Qos } from './mqtt.ts'
import type { Peer, RunningPeer } from './peer.ts'
import { freePort, ServerProcess, versionSaid } from './serverProcess.ts'

const inMemory =
  'keeps sessions and messages in memory and answers before it saves them: its database is written every half hour and at an orderly end'
const lateSave = 'answers first and saves its whole database (with fsync) after: a crash between the two loses what was confirmed'
const sessions = 'persistent sessions, no limit of its own to what is in flight; a confirmation is'

/** Mosquitto at its settings. */
export const mosquitto: readonly Peer[] = [
  mosquittoPeer('qos1', 1, [], { survives: 'none', because: inMemory, settings: `${sessions} PUBACK` }),
  mosquittoPeer('qos2', 2, [], { survives: 'none', because: inMemory, settings: `${sessions} PUBCOMP` }),
  mosquittoPeer('qos2-saved', 2, ['autosave_on_changes true', 'autosave_interval 1'], {
    survives: 'none',
    because: lateSave,
    settings: `autosave_on_changes true, autosave_interval 1; ${sessions} PUBCOMP`,
  }),
]

type Description = Pick<Peer, 'survives' | 'because' | 'settings'>

function mosquittoPeer(id: string, qos: Qos, settings: readonly string[], description: Description): Peer {
  return {
    id: `mosquitto-${id}`,
    name: `Mosquitto QoS ${qos}${settings.length === 0 ? '' : ', saved at each change'}`,
    ...description,
    version: () => versionSaid('mosquitto', ['-h'], /version (\S+)/),
    start: (directory) => start(directory, qos, settings),
  }
}

async function start(directory: string, qos: Qos, settings: readonly string[]): Promise<RunningPeer> {
  const port = await freePort()
  const file = join(directory, 'mosquitto.conf')
  const lines = [
    `listener ${port} 127.0.0.1`,
    'allow_anonymous true',
    'persistence true',
    `persistence_location ${directory}/`,
    // Started by root, it would become a user who may not write there.
    'user root',
    // No limit of its own below the window of the load.
    'max_inflight_messages 0',
    'max_queued_messages 0',
    'log_type error',
    ...settings,
  ]
  writeFileSync(file, `${lines.join('\n')}\n`)
  const server = await ServerProcess.start('mosquitto', ['-c', file], { port, directory })
  return { pid: server.pid, wire: { protocol: 'mqtt', port, qos }, stop: () => server.stop() }
}
