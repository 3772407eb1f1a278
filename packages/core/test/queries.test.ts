import { expect, it } from 'vitest'
import { World } from './harness.ts'

it.each([1, 4])(
  'lists users, groups, and whom a user has blocked, page by page, without the deleted ones (%i shards)',
  (shards) => {
    const world = new World({ shards })
    const names = ['b', 'a', 'Zoë', '😀', '\uffee', 'gone', 'c']
    const clients = new Map(names.map((user) => [user, world.online(user)]))
    for (const user of names)
      world.operate(world.host.shardOf(1, user), (at) => ({ kind: 'groupCreate', ...at, group: user, by: 0, byName: '' }))
    for (const user of ['gone', 'b', 'c']) clients.get('a')?.block(user)
    world.deleteUser('gone')
    const { queries } = world.host
    const pages = (kind: 0 | 1, limit: number): (readonly string[])[] => {
      const found: (readonly string[])[] = []
      for (let after: string | undefined = ''; after !== undefined; ) {
        const { items, next } = queries.names(kind, after, limit)
        found.push(items)
        after = next === '' ? undefined : next
      }
      return found
    }
    const sorted = ['Zoë', 'a', 'b', 'c', 'gone', '\uffee', '😀']
    expect(pages(1, 3)).toEqual([sorted.slice(0, 3), sorted.slice(3, 6), sorted.slice(6)])
    expect(pages(1, 7)).toEqual([sorted])
    expect(pages(0, 2)).toEqual([['Zoë', 'a'], ['b', 'c'], ['\uffee'], ['😀']])
    const alice = queries.identityOf(0, 'a')
    const all = queries.blocks(alice, 0, 9)
    expect([[...all.items].sort(), all.next]).toEqual([['b', 'c'], 0])
    const first = queries.blocks(alice, 0, 1)
    expect(first.next).toBeGreaterThan(0)
    expect([...first.items, ...queries.blocks(alice, first.next, 9).items].sort()).toEqual(['b', 'c'])
  },
)
