import { describe, expect, it } from 'vitest'
import { metaRow, rowKey, tables } from '../../src/machine/rows.ts'
import { deliver, draft, Rig } from './rig.ts'

const meta = rowKey(tables.meta)
const storeTimers = (rig: Rig): number[] =>
  rig.all('setTimer').flatMap(({ timer, delayMs }) => (timer === 'store' ? [delayMs] : []))

describe('a commit that failed', () => {
  it('is told, and tried again a second later, whatever is asked meanwhile', () => {
    const rig = new Rig().live()
    rig.isHolding = true
    rig.send()
    rig.clear()
    rig.fail()
    const call = rig.send()
    expect([rig.all('commit'), storeTimers(rig)]).toEqual([[], [1_000]])
    expect(rig.notices('error').map(({ fault }) => fault.code)).toEqual(['store-failed'])
    rig.step({ kind: 'timer', timer: 'store' })
    rig.release()
    expect(rig.answer(call)).toMatchObject({ kind: 'sent' })
  })

  it('for want of room is tried again, though nothing but room can mend it', () => {
    const rig = new Rig().live()
    rig.isHolding = true
    rig.send()
    rig.fail('store-full', false)
    expect([rig.machine.connection.status, storeTimers(rig)]).toEqual(['waiting', [1_000]])
  })

  it('while the client closes is the last one: nothing is written after it, and no timer is left', () => {
    const rig = new Rig().live()
    rig.receive()
    rig.say(deliver(1))
    rig.isHolding = true
    rig.step({ kind: 'handlerDone', run: 1 })
    const close = rig.ask({ kind: 'close' })
    rig.clear()
    rig.fail()
    rig.step({ kind: 'timer', timer: 'handlers' })
    expect([rig.answer(close), rig.all('commit'), rig.all('setTimer')]).toEqual([{ kind: 'done' }, [], []])
  })
})

describe('a store that is lost', () => {
  const lost = { kind: 'fault', fault: { code: 'store-lost' } }

  it('is told to every call that waits for it, also those whose rows were not in the commit that failed', () => {
    const rig = new Rig().live()
    rig.receive()
    rig.say(deliver(1))
    rig.isHolding = true
    const calls = [rig.send({ id: 1n }), rig.send({ id: 2n }), rig.ask({ kind: 'stopReceiving' })]
    calls.push(rig.ask({ kind: 'markRead', position: { epoch: 7, log: 100, lane: 8, seq: 1 }, sender: 200, count: 1 }))
    rig.fail('store-lost', false)
    expect(calls.map((call) => rig.answer(call))).toMatchObject(calls.map(() => lost))
    expect(rig.machine.connection.status).toBe('ended')
  })

  it('is told to who asks for something that it would have to store, and not to others', () => {
    const rig = new Rig().live()
    rig.isHolding = true
    rig.send({ id: 1n })
    rig.fail('store-lost', false)
    const of = { toKind: 0, to: 'bob', id: 1n } as const
    for (const ask of [{ kind: 'cancel', ...of }, { kind: 'send', drafts: [draft()] }, { kind: 'stopReceiving' }] as const)
      expect(rig.answer(rig.ask(ask))).toMatchObject(lost)
    expect(rig.answer(rig.ask({ kind: 'find', ...of }))).toEqual({ kind: 'found', message: undefined })
    for (const kind of ['pending', 'groups', 'listSetAside'] as const)
      expect(rig.answer(rig.ask({ kind }))?.kind).toBe(kind === 'listSetAside' ? 'setAside' : kind)
  })

  it('hands nothing over again that its handler gives back, since nobody could be told to stop any more', () => {
    const rig = new Rig().live()
    rig.receive()
    rig.say(deliver(1))
    rig.isHolding = true
    rig.send({ id: 1n })
    rig.fail('store-lost', false)
    rig.ask({ kind: 'stopReceiving' })
    rig.step({ kind: 'handlerFailed', run: 1, decision: 'release' })
    rig.receive()
    expect(rig.handled().map(({ run }) => run)).toEqual([1])
  })

  it('has nothing written at the end of what was refused, and a close ends', () => {
    const rig = new Rig().live()
    rig.isHolding = true
    rig.send({ id: 1n })
    rig.send({ id: 2n })
    rig.fail('store-lost', false)
    rig.isHolding = false
    const close = rig.ask({ kind: 'close' })
    expect([rig.answer(close), rig.disk.count(tables.outbox)]).toEqual([{ kind: 'done' }, 0])
  })
})

describe('a close', () => {
  it('stores what is under way, and leaves what came after it to the next run', () => {
    const rig = new Rig().live()
    rig.isHolding = true
    rig.say(deliver(1))
    rig.say(deliver(2))
    rig.ask({ kind: 'close' })
    rig.release()
    expect([rig.disk.count(tables.inbox), rig.sent('ack').map(({ upTo }) => upTo)]).toEqual([1, [1]])
  })
})

describe('a store', () => {
  const fault = (rig: Rig): unknown => ('fault' in rig.machine.connection ? rig.machine.connection.fault : undefined)

  it('of another version is refused, and nothing in it is touched', () => {
    const { disk } = new Rig().live()
    disk.apply([[meta, metaRow.write({ ...metaRow.read(disk.get(meta) ?? expect.fail()), format: 2 })]])
    const rig = new Rig(disk).open()
    expect(fault(rig)).toMatchObject({ code: 'store-corrupt', retryable: false })
    expect(fault(rig)).toMatchObject({
      message: expect.stringMatching(/^The store holds a row that can't be read: .*another version/),
    })
    expect(rig.all('commit')).toEqual([])
  })

  it('is opened once, though that is said twice', () => {
    const rig = new Rig().live()
    rig.send()
    rig.clear()
    rig.step({ kind: 'opened', rows: rig.disk.open(), newDevice: new Uint8Array(16) })
    expect(rig.effects).toEqual([])
    expect(rig.answer(rig.ask({ kind: 'pending' }))).toMatchObject({ pending: { messages: 1 } })
  })
})

describe('the timer of the outbox', () => {
  it('is set for messages alone', () => {
    const rig = new Rig().live()
    const outbox = () => rig.all('setTimer').filter(({ timer }) => timer === 'outbox')
    expect(outbox()).toEqual([])
    rig.send()
    expect(outbox()).toHaveLength(1)
  })
})
