import { Shard } from '@posthaste/core'
import { afterEach, expect, it, vi } from 'vitest'
import { WebSocket } from 'ws'
import { Engine } from '../src/engine.ts'
import { FileJournal } from '../src/storage/journal.ts'
import { newServer, post } from './servers.ts'

afterEach(() => vi.restoreAllMocks())

it.each([0, 1])(
  '[I12] stops though something is due all the time, and journals nothing once it closes: %i processes',
  async (gateways) => {
    vi.spyOn(Shard.prototype, 'nextDueMs').mockReturnValue(0)
    const append = vi.spyOn(FileJournal.prototype, 'append')
    const { close } = Engine.prototype
    let before: number | undefined
    vi.spyOn(Engine.prototype, 'close').mockImplementation(async function (this: Engine) {
      before = append.mock.calls.length
      await close.call(this)
    })
    const server = await newServer({ gateways })
    expect(await post(server, '/users', { name: 'alice' })).toMatchObject({ status: 201 })
    for (let count = 0; count < 3; count++) {
      const socket = new WebSocket(`ws://127.0.0.1:${server.port}/v1/connect`)
      await new Promise((resolve) => socket.on('open', resolve))
    }
    await server.stop()
    expect(append).toHaveBeenCalledTimes(before ?? 0)
  },
)
