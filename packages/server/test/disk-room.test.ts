import { afterEach, expect, it, vi } from 'vitest'
import { FreeSpace } from '../src/storage/free-space.ts'
import { newServer, post } from './servers.ts'

afterEach(() => vi.restoreAllMocks())

it('[I1] refuses sends while the disk has room only for what it has taken: its own checkpoint needs that', async () => {
  vi.spyOn(FreeSpace.prototype, 'bytes').mockReturnValue(200_000)
  const server = await newServer({ limits: { freeBytes: 100_000 }, checkpoint: { bytes: 1e9, ms: 1e9 } })
  for (const name of ['alice', 'bob']) await post(server, '/users', { name })
  const answers: number[] = []
  for (let id = 1; id <= 6; id++) {
    const { status } = await post(server, '/messages', {
      from: 'alice',
      to: { user: 'bob' },
      id: `${id}`,
      body: 'x'.repeat(30_000),
    })
    answers.push(status)
  }
  expect(answers).toEqual([200, 200, 200, 200, 507, 507])
})
