import { describe, expect, it } from 'vitest'
import { metaRow, rowKey, tables } from '../../src/machine/rows.ts'
import { deliver, Rig } from './rig.ts'

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
