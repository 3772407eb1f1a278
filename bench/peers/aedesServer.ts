/** Aedes in a process of its own. Started by `Child`. */
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { Aedes } from 'aedes'
import { answerAll } from '../answering.ts'

const broker = await Aedes.createBroker()
const server = createServer(broker.handle).listen(0, '127.0.0.1')
await once(server, 'listening')

answerAll({ port: () => (server.address() as AddressInfo).port })
