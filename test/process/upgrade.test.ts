import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Place, pause } from './place.ts'
import { RawClient } from './raw.ts'

let place: Place
beforeEach(async () => {
  place = new Place()
  await place.start()
})
afterEach(() => place.end())

const request = [
  'GET /elsewhere HTTP/1.1',
  'Host: 127.0.0.1',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  `Sec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}`,
  '\r\n',
].join('\r\n')

const askForUpgrade = (): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect({ port: place.port, host: '127.0.0.1', allowHalfOpen: true }, () => {
      socket.write(request)
      resolve(socket)
    })
    socket.on('error', reject)
  })

describe('an upgrade to a path that there is not', () => {
  it('[I10] costs nobody else anything when its client resets the connection', async () => {
    for (let round = 0; round < 20; round++) (await askForUpgrade()).resetAndDestroy()
    await pause(200)
    const raw = await RawClient.join(place.url, place.token('bob'))
    raw.cut()
    expect(place.server?.child.exitCode).toBeNull()
  })

  it('[I10] does not keep the server from stopping when its client stays', async () => {
    const socket = await askForUpgrade()
    let answer = ''
    socket.on('data', (chunk) => {
      answer += chunk
    })
    await once(socket, 'end')
    expect(answer).toMatch(/^HTTP\/1.1 404 /)
    place.server?.child.kill('SIGTERM')
    const code = await Promise.race([place.server?.ended.then((end) => end.code), pause(5_000)])
    socket.destroy()
    expect(code).toBe(0)
  })
})
