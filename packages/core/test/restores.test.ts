import { describe, expect, it } from 'vitest'
import { World } from './harness.ts'

describe('a backup that is restored a second time', () => {
  it('[I1] [I2] begins an epoch that there never was: its messages and identities are none of those since the first time', async () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    const backup = await world.backup()
    world.restore(backup)
    const epochs = [world.host.epoch]
    for (const client of [alice, bob]) client.reconnect()
    alice.send('bob', { id: 1n })
    const carol = world.online('carol')
    world.settle()
    world.restore(backup, 3)
    epochs.push(world.host.epoch)
    for (const client of [alice, bob]) client.reconnect()
    const dora = world.online('dora')
    alice.send('bob', { id: 2n })
    world.settle()
    expect(epochs).toEqual([2, 3])
    expect(dora.identity).not.toBe(carol.identity)
    expect(bob.inbox.map(({ id }) => id)).toEqual([1n, 2n])
  })

  it('begins the next one where no number is asked for, or one that has been', async () => {
    const world = new World()
    const backup = await world.backup()
    world.restore(backup)
    world.restore(await world.backup(), 2)
    expect(world.host.epoch).toBe(3)
  })
})
