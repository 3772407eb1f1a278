/** Posthaste itself, as `npm run build` made it, at its defaults. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { version } from '@posthaste/server'
import { makeTokens, startBenchServer, urlOf } from '../ground.ts'
import type { Peer } from './peer.ts'
import { posthasteUsers } from './posthasteWire.ts'

/** Posthaste. */
export const posthaste: readonly Peer[] = [
  {
    id: 'posthaste',
    name: 'Posthaste',
    survives: 'power loss',
    because: 'says "sent" once the record with the message is flushed to disk (fdatasync), and moves a cursor the same way',
    settings: 'defaults; a confirmation is "sent", an acknowledgement makes a delivered receipt for the sender',
    version: () => version,
    async start(directory, { pairs }) {
      const tokensFile = join(directory, 'tokens.json')
      writeFileSync(tokensFile, JSON.stringify(await makeTokens(posthasteUsers(pairs))))
      const server = startBenchServer(join(directory, 'data'))
      return {
        pid: server.process.pid ?? 0,
        wire: { protocol: 'posthaste', url: await urlOf(server), tokensFile },
        stop: () => server.kill(),
      }
    },
  },
]
