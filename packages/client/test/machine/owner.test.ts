import { describe, expect, it } from 'vitest'
import { tables } from '../../src/machine/rows.ts'
import { deliver, Disk, Rig, serverStartMs, welcome } from './rig.ts'

const wrongUser = { kind: 'fault', fault: { code: 'wrong-user', retryable: false, field: 'token' } }
const bob = { kind: 'find', toKind: 0, to: 'bob', id: 1n } as const

/** The disk of a store that is alice's. */
function disk(): Disk {
  return new Rig().live().disk
}

/** What goes out when the store's own user comes back. */
function sentByAlice(store: Disk): bigint[] {
  const alice = new Rig(store).load()
  alice.takeToken('alice')
  return alice
    .live()
    .sent('send')
    .map(({ id }) => id)
}

describe('a store of another user than the token', () => {
  it('takes no message, hands nothing over and tells nothing, as soon as the token shows whose it is', () => {
    const alice = new Rig().live()
    alice.say(deliver(1))
    expect(alice.disk.count(tables.inbox)).toBe(1)
    alice.send({ id: 1n, expirySeconds: 60 })
    const other = new Rig(alice.disk).load()
    other.receive()
    const calls = [other.send({ id: 2n }), other.ask(bob), other.ask({ kind: 'pending' }), other.ask({ kind: 'listSetAside' })]
    expect([calls.map((call) => other.answer(call)), other.handled()]).toEqual([calls.map(() => undefined), []])
    other.takeToken('bob')
    for (const call of [...calls, other.ask(bob), other.send({ id: 3n })]) expect(other.answer(call)).toMatchObject(wrongUser)
    expect([other.handled(), other.all('openSocket')]).toEqual([[], []])
    expect(sentByAlice(alice.disk)).toEqual([1n])
  })

  it('is nobody’s while nothing was written and no server has answered: the token may have been a mistake', () => {
    const rig = new Rig().load()
    rig.takeToken('bob')
    expect(sentByAlice(rig.disk)).toEqual([])
    const other = new Rig(rig.disk).load()
    other.takeToken('bob')
    expect(other.machine.connection).toMatchObject({ status: 'ended', fault: { code: 'wrong-user' } })
  })

  it('is the user’s whose token came first, once something is written, though no server has ever answered', () => {
    const store = new Disk()
    const alice = new Rig(store).load()
    const call = alice.send({ id: 1n })
    expect(alice.answer(call)).toBeUndefined()
    alice.takeToken('alice')
    expect(alice.answer(call)).toMatchObject({ kind: 'sent' })
    const other = new Rig(store).load()
    const refused = other.send({ id: 2n })
    other.takeToken('bob')
    expect(other.answer(refused)).toMatchObject(wrongUser)
    expect(sentByAlice(store)).toEqual([1n])
  })
})

describe('without a token', () => {
  it.each([
    ['fails', (rig: Rig) => rig.refuseToken(false)],
    ['does not answer for 3 seconds', (rig: Rig) => rig.step({ kind: 'timer', timer: 'connection' })],
  ])('the store is used, once the token function %s', (_how, noToken) => {
    const rig = new Rig(disk()).load()
    expect(rig.all('setTimer')).toContainEqual({ kind: 'setTimer', timer: 'connection', delayMs: 3_000 })
    const call = rig.send({ id: 1n })
    expect(rig.answer(call)).toBeUndefined()
    noToken(rig)
    expect(rig.answer(call)).toMatchObject({ kind: 'sent' })
  })

  it('the token function has a minute in all', () => {
    const rig = new Rig(disk()).load()
    rig.step({ kind: 'timer', timer: 'connection' })
    expect([rig.last('setTimer'), rig.machine.connection]).toMatchObject([
      { timer: 'connection', delayMs: 57_000 },
      { status: 'connecting' },
    ])
    rig.step({ kind: 'timer', timer: 'connection' })
    expect(rig.machine.connection).toMatchObject({ status: 'waiting', fault: { code: 'timeout' } })
    rig.step({ kind: 'timer', timer: 'connection' })
    expect(rig.last('setTimer')).toMatchObject({ timer: 'connection', delayMs: 60_000 })
  })

  it('what a run has written goes out once the token is the store’s user’s, or the first of all', () => {
    for (const store of [disk(), new Disk()]) {
      const rig = new Rig(store).open()
      rig.send({ id: 1n })
      rig.takeToken('alice')
      rig.step({ kind: 'socketOpened', socket: rig.socket })
      rig.say({ ...welcome, serverTimeMs: serverStartMs })
      expect(rig.sent('send')).toMatchObject([{ id: 1n }])
    }
  })

  it.each([
    ['its token', (rig: Rig) => rig.takeToken('bob')],
    ['the server', (rig: Rig) => rig.live({ user: 'bob' })],
  ])('nothing that a run has written stays, when %s shows that it is another user’s', (_what, show) => {
    const store = disk()
    expect(new Rig(store).open().send({ id: 1n })).toBe(1)
    const rig = new Rig(store).open()
    rig.receive()
    const early = rig.send({ id: 2n })
    rig.isHolding = true
    const late = rig.send({ id: 3n })
    show(rig)
    rig.isHolding = false
    rig.release()
    expect([rig.answer(early), rig.answer(late)]).toMatchObject([{ kind: 'sent' }, wrongUser])
    expect(rig.machine.connection).toMatchObject({ status: 'ended', fault: { code: 'wrong-user' } })
    expect(rig.answer(rig.ask(bob))).toMatchObject(wrongUser)
    // The one of the run before is as good as the store's.
    expect([store.count(tables.outbox), store.count(tables.body)]).toEqual([1, 1])
    expect(sentByAlice(store)).toEqual([1n])
  })

  it('what was written after the user was known stays, though a later token is another user’s', () => {
    const rig = new Rig().live()
    rig.send({ id: 1n })
    rig.step({ kind: 'timer', timer: 'renew' })
    rig.takeToken('bob')
    expect(rig.machine.connection).toMatchObject({ status: 'ended', fault: { code: 'wrong-user' } })
    expect(sentByAlice(rig.disk)).toEqual([1n])
  })

  it('hands nothing over any more once it is another user’s', () => {
    const alice = new Rig().live()
    alice.say(deliver(1), deliver(2))
    const rig = new Rig(alice.disk).open()
    rig.receive()
    expect(rig.handled()).toHaveLength(1)
    rig.takeToken('bob')
    rig.step({ kind: 'handlerDone', run: rig.handled()[0]?.run ?? 0 })
    rig.receive()
    expect(rig.handled()).toHaveLength(1)
  })

  it('what was written without one makes the store the first user’s whose token comes', () => {
    const store = new Disk()
    const rig = new Rig(store).open()
    rig.send({ id: 1n })
    rig.takeToken('alice')
    const other = new Rig(store).load()
    other.takeToken('bob')
    expect(other.machine.connection).toMatchObject({ status: 'ended', fault: { code: 'wrong-user' } })
    expect(sentByAlice(store)).toEqual([1n])
  })

  it('tells who shares the store once it may be used, and once its user is known', () => {
    const rig = new Rig().open()
    rig.takeToken('alice')
    expect(rig.notices('user')).toEqual([
      { kind: 'user', user: '' },
      { kind: 'user', user: 'alice' },
    ])
    const again = new Rig(disk()).load()
    expect(again.notices('user')).toEqual([])
    again.live()
    expect(again.notices('user')).toEqual([{ kind: 'user', user: 'alice' }])
  })
})

describe('close', () => {
  it('waits for what is being stored in another user’s store', () => {
    const rig = new Rig(disk())
    rig.isHolding = true
    rig.load()
    rig.takeToken('bob')
    const call = rig.ask({ kind: 'close' })
    expect([rig.answer(call), rig.all('closeStore')]).toEqual([undefined, []])
    rig.release()
    expect([rig.answer(call), rig.all('closeStore')]).toMatchObject([{ kind: 'done' }, [{}]])
  })
})
