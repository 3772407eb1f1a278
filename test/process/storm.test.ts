import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, it } from 'vitest'
import { Place, until } from './place.ts'

const place = new Place('serve')
/** More than Node lets wait by itself, 511, and fewer than Linux allows by itself, 4,096. */
const comers = 2_000

beforeAll(() => place.start())
afterAll(() => place.end())

it('[I10] lets thousands of connections that come at once wait while it is busy, so that none has to knock again', async () => {
  const server = place.server?.child
  // It stands still, as it does in a long record: nothing is accepted meanwhile.
  server?.kill('SIGSTOP')
  const sockets: Socket[] = []
  let connected = 0
  try {
    for (let comer = 0; comer < comers; comer++) {
      const socket = connect(place.port, '127.0.0.1')
      socket.on('error', () => undefined)
      socket.once('connect', () => {
        connected += 1
      })
      sockets.push(socket)
    }
    // Those that are turned away knock again after one second, three, seven …, as often in vain as there is no room.
    await until(
      () => connected === comers,
      () => `${connected} of ${comers} were let in`,
    )
  } finally {
    server?.kill('SIGCONT')
    for (const socket of sockets) socket.destroy()
  }
})
