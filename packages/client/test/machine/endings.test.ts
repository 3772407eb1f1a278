import { describe, expect, it } from 'vitest'
import { code, Rig, resultOf, welcome } from './rig.ts'

describe('how a message ended', () => {
  it('is told once that is stored: after a crash before, the server is asked again and may have forgotten it [I6]', () => {
    const rig = new Rig().live()
    rig.send({ id: 5n })
    rig.isHolding = true
    rig.say({ ...resultOf(rig.lastPacket('send')), status: code('not-member') })
    expect(rig.statuses()).toEqual([])
    expect(new Rig(rig.disk).live().sent('send')).toHaveLength(1)
    rig.release()
    expect(rig.statuses()).toEqual(['not-member'])
    expect(new Rig(rig.disk).live().sent('send')).toEqual([])
  })

  it('is told of one that expired before it was stored once it is: another tab’s machine may be given it anew [I6]', () => {
    const rig = new Rig().open()
    rig.isHolding = true
    const call = rig.send({ id: 5n, expirySeconds: 1 })
    rig.advance(1_000)
    rig.step({ kind: 'timer', timer: 'outbox' })
    expect([rig.answer(call), rig.statuses()]).toEqual([undefined, []])
    rig.release()
    expect(rig.answer(call)).toMatchObject({ kind: 'sent', messages: [{ status: 'expired' }] })
    expect(rig.statuses()).toEqual(['expired'])
  })

  it('is told of one that expired unsent once that is stored: the server’s clock may be set back before the next process asks [I6]', () => {
    const rig = new Rig().open()
    rig.send({ id: 5n, expirySeconds: 1 })
    rig.isHolding = true
    rig.advance(1_000)
    rig.step({ kind: 'timer', timer: 'outbox' })
    expect(rig.statuses()).toEqual([])
    rig.release()
    expect(rig.statuses()).toEqual(['expired'])
  })

  it.each(['user', 'group'])(
    'is told as what it is by then, if the server knows it before it is stored as expired: to a %s [I6]',
    (kind) => {
      const rig = new Rig().live()
      rig.step({ kind: 'socketClosed', socket: rig.socket, closeCode: 1_006 })
      rig.send({ id: 5n, expirySeconds: 1, toKind: kind === 'group' ? 1 : 0 })
      rig.advance(10_000)
      rig.step({ kind: 'timer', timer: 'connection' })
      rig.greet()
      rig.isHolding = true
      // A restored server, which has an earlier message of that id.
      rig.say({ ...welcome, serverTimeMs: rig.serverMs, epoch: 2 })
      rig.answerQuery('delivered', { delivered: kind === 'group' ? 2 : 1, members: kind === 'group' ? 2 : 1 })
      if (kind === 'group') rig.say({ kind: 'counts', destination: 300, id: 5n, delivered: 2, read: 1, members: 2 })
      expect(rig.statuses()).toEqual([])
      rig.release()
      expect(
        rig.notices('status').map(({ previous, message: { status, counts } }) => ({ previous, status, read: counts?.read })),
      ).toEqual([{ previous: 'outbox', status: 'delivered', read: kind === 'group' ? 1 : undefined }])
    },
  )

  it('is told without the counts of an epoch before: they mean nothing in the next one, where they may be less [I6]', () => {
    const rig = new Rig().live()
    rig.send({ id: 5n, toKind: 1, to: 'team' })
    rig.say(resultOf(rig.lastPacket('send')))
    const { destination } = resultOf(rig.lastPacket('send'))
    rig.say({ kind: 'counts', destination, id: 5n, delivered: 1, read: 0, members: 2 })
    const counts = (): unknown => rig.notices('status').at(-1)?.message.counts
    expect(counts()).toEqual({ delivered: 1, read: 0, members: 2 })
    rig.reconnect({ epoch: 2 })
    rig.say({ ...resultOf(rig.lastPacket('send')), status: code('expired') })
    expect([rig.statuses().at(-1), counts()]).toEqual(['expired', undefined])
  })

  it('is told of one that was cancelled no earlier than the call is answered [I6]', () => {
    const rig = new Rig().open()
    rig.send({ id: 5n })
    rig.isHolding = true
    rig.ask({ kind: 'cancel', toKind: 0, to: 'bob', id: 5n })
    expect(rig.statuses()).toEqual([])
    rig.release()
    expect(rig.statuses()).toEqual(['cancelled'])
  })
})

it('[I4] what expired while the clocks were in doubt does not hold up its lane', () => {
  const rig = new Rig().live()
  rig.wallMs += 600_000
  rig.send({ type: 1, expirySeconds: 1 })
  rig.advance(2_000)
  rig.step({ kind: 'timer', timer: 'outbox' })
  expect(rig.statuses()).toEqual(['expired'])
  rig.say({ kind: 'pong', clientTime: Math.floor(rig.monotonicMs), serverTimeMs: rig.serverMs + 600_000 })
  rig.send({ type: 2 })
  expect(rig.sent('send').map(({ type }) => type)).toEqual([2])
})
