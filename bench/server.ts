/** The server under measurement: what `npm run build` made, in a process of its own. Started by `Child`. */
import { startServer, type Tuning } from '@posthaste/server'
import { letHeapGrow } from '../packages/server/dist/cli/heap.js'
import { FileJournal } from '../packages/server/dist/storage/journal.js'
import { LmdbTables } from '../packages/server/dist/storage/tables.js'
import { answerAll, settingsOf } from './answering.ts'
import { Probe } from './probe.ts'

/** How the server is started. */
export interface BenchServerSettings {
  readonly dataDirectory: string
  /** In base64. */
  readonly secret: string
  readonly tuning: Tuning
  /** Processes that hold the sockets. */
  readonly gateways: number
}

const { dataDirectory, secret, tuning, gateways } = settingsOf<BenchServerSettings>()
letHeapGrow()
const probe = new Probe(FileJournal, LmdbTables)
const startedMs = performance.now()
const server = await startServer(
  {
    dataDirectory,
    port: 0,
    adminPort: 0,
    host: '127.0.0.1',
    adminHost: '127.0.0.1',
    auth: { secrets: [Buffer.from(secret, 'base64')], jwks: undefined, audience: undefined },
    adminKey: secret,
    logLevel: 'error',
    shards: 1,
    isRestored: false,
    gateways,
  },
  tuning,
)
const openMs = performance.now() - startedMs

answerAll(
  {
    port: () => server.port,
    adminPort: () => server.adminPort,
    /** How long it took until it listened, in ms, without the start of the process. */
    openMs: () => openMs,
    report: () => probe.report(),
    collect: () => globalThis.gc?.(),
  },
  () => server.stop(),
)
