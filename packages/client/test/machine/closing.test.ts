import { describe, expect, it } from 'vitest'
import { tables } from '../../src/machine/rows.ts'
import { deliver, Rig } from './rig.ts'

const closed = { kind: 'fault', fault: { code: 'closed' } }
const position = { epoch: 7, log: 100, lane: 8, seq: 1 }

describe('close', () => {
  it('stores what a failed commit has left', () => {
    const rig = new Rig().live()
    rig.say(deliver(1))
    rig.isHolding = true
    const failed = rig.send()
    rig.fail()
    const sent = rig.send()
    const close = rig.ask({ kind: 'close' })
    rig.release()
    expect([failed, sent, close].map((call) => rig.answer(call)?.kind)).toEqual(['fault', 'sent', 'done'])
    expect(rig.disk.count(tables.outbox)).toBe(1)
  })

  it('answers every call, whether or not it could be stored', () => {
    const rig = new Rig().live()
    rig.receive()
    rig.say(deliver(1))
    rig.isHolding = true
    const sent = rig.send()
    const later = [
      rig.send(),
      rig.ask({ kind: 'markRead', position, sender: 200, count: 1 }),
      rig.ask({ kind: 'stopReceiving' }),
      rig.ask({ kind: 'request', request: { kind: 'groupCreate', group: 'team' } }),
    ]
    const close = rig.ask({ kind: 'close' })
    rig.fail()
    expect(rig.answer(sent)).toMatchObject({ fault: { code: 'store-failed' } })
    expect(later.map((call) => rig.answer(call)?.kind)).toEqual(later.map(() => 'fault'))
    expect(rig.answer(close)).toEqual({ kind: 'done' })
  })

  it('leaves nothing to be promised: a message that stays in the store is not cancelled', () => {
    const rig = new Rig().open()
    rig.send({ id: 5n })
    rig.ask({ kind: 'close' })
    expect(rig.answer(rig.ask({ kind: 'cancel', toKind: 0, to: 'bob', id: 5n }))).toMatchObject(closed)
    expect(rig.answer(rig.ask({ kind: 'stopReceiving' }))).toMatchObject(closed)
  })

  it('leaves no timer, whatever comes later', () => {
    const rig = new Rig().live()
    rig.step({ kind: 'timer', timer: 'keys' })
    rig.ask({ kind: 'close' })
    rig.clear()
    rig.step({ kind: 'scanned', rows: [] })
    expect(rig.effects).toEqual([])
  })
})

describe('a store that is gone for good', () => {
  const fault = { code: 'store-lost', message: 'The browser closed it.', retryable: false }

  it.each(['write', 'read'])('ends the client at the first %s, and is not tried again', (access) => {
    const rig = new Rig().live()
    rig.isHolding = true
    if (access === 'write') rig.send()
    rig.clear()
    if (access === 'write') rig.fail(fault.code, fault.retryable)
    else rig.step({ kind: 'readFailed', fault })
    expect(rig.machine.connection).toMatchObject({ status: 'ended', fault: { code: 'store-lost' } })
    expect(rig.all('setTimer')).toEqual([])
    expect(rig.answer(rig.send())).toMatchObject({ fault: { code: 'store-lost' } })
  })
})
