import { expect, it } from 'vitest'
import { HttpSender } from './httpSender.ts'

it('ends a sender over HTTP that nobody answers', { timeout: 5_000 }, async () => {
  const sender = new HttpSender({ call: () => Promise.reject(new Error('nobody listens')) }, 'h1', 'r1')
  await sender.abandon()
  expect(sender.notes).not.toContainEqual(['status', 1, expect.anything()])
})
