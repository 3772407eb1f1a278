/** A server in a process of its own, for tests that kill it: `server-process.ts <directory> <port>`. Prints its port. */
import { writeSync } from 'node:fs'
import { startServer } from '@posthaste/server'
import { serverOptions } from './realServer.ts'

const server = await startServer(serverOptions(process.argv[2] ?? '', Number(process.argv[3] ?? 0)))
writeSync(1, `${server.port}\n`)
