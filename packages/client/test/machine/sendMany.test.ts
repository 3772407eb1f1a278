import { describe, expect, it } from 'vitest'
import type { Draft } from '../../src/machine/events.ts'
import { tables } from '../../src/machine/rows.ts'
import { Disk, draft, Rig } from './rig.ts'

const sendAll = (rig: Rig, drafts: readonly Draft[]): number => rig.ask({ kind: 'send', drafts })
const large = (bytes: number, fields: Partial<Draft> = {}): Draft => draft({ body: new Uint8Array(bytes), ...fields })

/** A rig with a live session for bodies of a mebibyte. */
const largeRig = (): Rig => new Rig(new Disk(), { outboxBytes: 10_000_000 }).live({ bodyBytesMax: 1_048_576 })

/** How many bodies each commit wrote that wrote any. */
const bodiesByCommit = (rig: Rig): number[] =>
  rig.all('commit').flatMap(({ writes }) => {
    const count = writes.filter(([key, value]) => key[0] === tables.body && value !== null).length
    return count === 0 ? [] : [count]
  })

describe('a call that sends several messages', () => {
  it('is answered once all messages of a call are stored, which all go into one commit, however large [I1]', () => {
    const rig = largeRig()
    rig.isHolding = true
    const first = rig.send()
    const call = sendAll(rig, [large(700_000), large(700_000), large(700_000)])
    rig.releaseOne()
    expect([rig.answer(first)?.kind, rig.answer(call)]).toEqual(['sent', undefined])
    expect(bodiesByCommit(rig)).toEqual([1, 3])
    rig.releaseOne()
    expect(rig.answer(call)).toMatchObject({ kind: 'sent' })
    expect(rig.disk.count(tables.body)).toBe(4)
  })

  it.each([
    [1_048_576 - 64, [1, 1, 1]],
    [1_048_576 - 65, [1, 2]],
  ])(
    'stores a mebibyte of several calls in one commit, rows included: a body of %i bytes and another one [I10]',
    (bytes, bodies) => {
      const rig = largeRig()
      rig.isHolding = true
      rig.send()
      sendAll(rig, [large(bytes)])
      sendAll(rig, [large(1)])
      rig.release()
      expect(bodiesByCommit(rig)).toEqual(bodies)
    },
  )

  it('is refused whole when a commit fails, and none of its messages goes out [I1]', () => {
    const rig = largeRig()
    rig.isHolding = true
    rig.send({ id: 1n })
    const many = sendAll(
      rig,
      [2n, 3n, 4n].map((id) => large(700_000, { id })),
    )
    const other = rig.send({ id: 5n })
    rig.releaseOne()
    rig.fail()
    rig.isHolding = false
    expect(rig.answer(many)).toMatchObject({ kind: 'fault', fault: { code: 'store-failed' } })
    rig.step({ kind: 'timer', timer: 'store' })
    rig.step({ kind: 'timer', timer: 'connection' })
    rig.live()
    expect(rig.answer(other)).toMatchObject({ kind: 'sent' })
    expect(new Set(rig.sent('send').map(({ id }) => id))).toEqual(new Set([1n, 5n]))
    expect(rig.disk.count(tables.body)).toBe(2)
  })

  it('is refused whole when it waits for a message of another call too, whose commit fails [I1]', () => {
    const rig = new Rig().live()
    rig.isHolding = true
    const one = rig.send({ id: 1n })
    const both = sendAll(rig, [draft({ id: 1n }), draft({ id: 2n })])
    rig.fail()
    rig.isHolding = false
    for (const call of [one, both]) expect(rig.answer(call)).toMatchObject({ kind: 'fault' })
    rig.step({ kind: 'timer', timer: 'store' })
    rig.step({ kind: 'timer', timer: 'connection' })
    rig.live()
    expect([rig.sent('send'), rig.disk.count(tables.outbox)]).toEqual([[], 0])
  })
})
