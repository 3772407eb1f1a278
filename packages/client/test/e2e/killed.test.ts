import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { live, RealServer } from './realServer.ts'

let server: RealServer

beforeEach(async () => {
  server = await RealServer.spawn()
})

afterEach(() => server.close())

describe('a server that is killed, again and again', () => {
  it('loses nothing that was sent, repeats nothing, and keeps the order [I1] [I2] [I3] [I12]', async () => {
    const [alice, bob] = [server.client('alice'), server.client('bob')]
    const texts: string[] = []
    bob.receive((message) => texts.push(message.text()))
    await live(bob)
    const all = Array.from({ length: 600 }, (_, at) => `${at}`)
    const sending = (async () => {
      const sent = []
      for (const body of all) sent.push(await alice.send({ to: 'bob', body, priority: Number(body) % 2 }))
      return sent
    })()
    for (const count of [100, 300]) {
      await expect.poll(() => texts.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(count)
      await server.kill()
      await server.respawn()
    }
    for (const message of await sending) await message.waitFor('delivered')
    await expect.poll(() => texts.length).toBe(600)
    for (const lane of [0, 1]) {
      expect(texts.filter((text) => Number(text) % 2 === lane)).toEqual(all.filter((text) => Number(text) % 2 === lane))
    }
  })
})
