/** What a checkpoint writes of what came and went since the last one. */
import { expect, it } from 'vitest'
import { type KeyBatch, keyTableNumber, shardOfName } from '../src/index.ts'
import { dayMs } from './client.ts'
import { Ground, origin } from './ground.ts'

/** Makes a checkpoint: the tables whose rows it writes, and those from which it deletes. Keys go by themselves, when their time is over. */
async function checkpoint(made: Ground): Promise<{ readonly written: number[]; readonly deleted: number[] }> {
  const { generations } = made.state
  generations.freeze()
  const into = made.tables.beginCheckpoint()
  const [written, deleted] = [new Set<number>(), new Set<number>()]
  const watched = {
    put: (key: Uint8Array, value: Uint8Array) => {
      written.add(key[0] ?? 0)
      into.put(key, value)
    },
    delete: (key: Uint8Array) => {
      deleted.add(key[0] ?? 0)
      into.delete(key)
    },
    putKeys: (batch: KeyBatch) => into.putKeys(batch),
    commit: () => into.commit(),
  }
  for (const _ of generations.write(watched, 100));
  await watched.commit()
  for (const _ of generations.release(100));
  const inOrder = (tables: Set<number>): number[] =>
    [...tables].filter((table) => table !== keyTableNumber).sort((left, right) => left - right)
  return { written: inOrder(written), deleted: inOrder(deleted) }
}

/** A user and a group with all that can belong to them, in a shard beside another one. */
function lifeOf(made: Ground): void {
  made.users('alice', 'bob')
  made.group('#team', 'alice', 'bob')
  made.connect('alice', 1)
  for (const device of [1, 2]) made.connect('bob', device)
  made.connect('bob', 1, {}, '#team')
  for (const to of ['bob', '#team']) made.fill('alice', to, 6, { deadlineMs: made.clockMs + 2 * dayMs })
  made.apply(made.ackOf('bob', 1, 6), made.ackOf('bob', 1, 6, { to: '#team' }))
}

function endOf(made: Ground): void {
  made.apply({ kind: 'groupDelete', ...origin, group: 'team', by: 0 })
  for (const user of ['alice', 'bob']) made.apply({ kind: 'userDelete', ...origin, user, validAfterMs: 0 })
  for (let day = 0; day < 40; day++) {
    made.pass(dayMs)
    made.settle()
  }
}

it('[I10] nothing is written, or deleted, of users and groups that came and went', async () => {
  const made = new Ground({ pace: { commandRows: 2, recordRows: 2 } })
  lifeOf(made)
  endOf(made)
  // The row of the shard as a whole.
  expect(await checkpoint(made)).toEqual({ written: [1], deleted: [] })
})

it('[I10] of users and groups that are gone all is deleted that was written', async () => {
  const made = new Ground({ pace: { commandRows: 2, recordRows: 2 } })
  lifeOf(made)
  const { written, deleted } = await checkpoint(made)
  expect([written, deleted]).toEqual([[1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 14, 15], []])
  endOf(made)
  expect(await checkpoint(made)).toEqual({ written: [1], deleted: written.slice(1) })
})

it('[I10] [I12] nothing is written of what another shard has taken since', async () => {
  const made = new Ground({ shards: 2 })
  const user = ['a', 'b', 'c', 'd', 'e'].find((name) => shardOfName(0, name, 2) === 0) ?? ''
  const group = ['a', 'b', 'c', 'd', 'e'].find((name) => shardOfName(1, name, 2) === 1) ?? ''
  const [by = 0] = made.users(user)
  await checkpoint(made)
  const { forwards } = made.apply({ kind: 'groupCreate', ...origin, group, by, byName: user })
  const forwarded = forwards.map(({ target, number }) => [target, number])
  made.apply({ kind: 'forwardDone', target: 1, epoch: 1, number: 1 })
  const { written, deleted } = await checkpoint(made)
  expect([forwarded, written.includes(12), deleted]).toEqual([[[1, 1]], false, []])
})
