import { createTestServer } from '@posthaste/client/testing'
import { expect, test } from 'vitest'

test('a reminder that bob does not fetch in time expires', async () => {
  const server = createTestServer()
  const alice = server.client({ user: 'alice' })
  const bob = server.client({ user: 'bob', device: 'phone' })

  const reminder = await alice.send({ to: 'bob', body: 'Lunch?', expirySeconds: 1_800 })
  await server.advance(29 * 60_000)
  expect(reminder.status).toBe('sent')
  await server.advance(2 * 60_000)
  expect(reminder.status).toBe('expired')

  const received: string[] = []
  bob.receive((message) => received.push(message.text()))
  await server.settle()
  expect(received).toEqual([])
  await server.close()
})
