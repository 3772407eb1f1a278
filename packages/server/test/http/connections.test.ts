import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { newSystem } from './system.ts'

/** What is answered to a request on a connection of its own; nothing when it is turned away. */
async function answerTo(socket: Socket): Promise<string> {
  let text = ''
  socket.on('data', (data) => {
    text += data.toString()
  })
  const closed = new Promise((resolve) => socket.on('close', resolve))
  socket.write('GET /v1/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n')
  await closed
  return text
}

it('[I10] has 128 connections at a time: idle ones leave the journal its files, and make room when they go', async () => {
  const { app } = await newSystem()
  await app.listen({ port: 0, host: '127.0.0.1' })
  onTestFinished(() => app.close())
  const address = app.server.address() as { port: number }
  const open = async (): Promise<Socket> => {
    const socket = connect(address.port, '127.0.0.1')
    socket.on('error', () => {})
    onTestFinished(() => void socket.destroy())
    await once(socket, 'connect')
    return socket
  }
  const idle: Socket[] = []
  for (let count = 0; count < 128; count++) idle.push(await open())
  expect(await answerTo(await open())).toBe('')
  idle[0]?.destroy()
  await expect.poll(async () => answerTo(await open())).toMatch(/^HTTP\/1.1 200 OK/)
})

it('[I10] lets go whoever says nothing, or nothing more', async () => {
  const { app } = await newSystem()
  expect(app.server).toMatchObject({ headersTimeout: 10_000, keepAliveTimeout: 30_000, requestTimeout: 60_000 })
})
