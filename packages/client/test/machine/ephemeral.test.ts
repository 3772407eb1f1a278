import type { ServerPacket } from '@posthaste/protocol'
import { describe, expect, it } from 'vitest'
import { Rig, welcome } from './rig.ts'

const type = (rig: Rig, isActive: boolean, to = 'bob'): void => rig.step({ kind: 'typing', toKind: 0, to, isActive })
const watch = (rig: Rig, isOn: boolean, ...users: string[]): void => rig.step({ kind: 'watch', users, isOn })
const ring = (rig: Rig, afterMs = 0): void => {
  rig.advance(afterMs)
  rig.step({ kind: 'timer', timer: 'typing' })
}
const lose = (rig: Rig): void => rig.step({ kind: 'socketClosed', socket: rig.socket, closeCode: 1_006 })
const timers = (rig: Rig): number[] => rig.all('setTimer').flatMap(({ timer, delayMs }) => (timer === 'typing' ? [delayMs] : []))
const told = (rig: Rig): [string, boolean][] => rig.sent('typing').map(({ to, isActive }) => [to, isActive])
const watched = (rig: Rig): [readonly string[], boolean][] => rig.sent('watch').map(({ users, isOn }) => [users, isOn])
const typing = (senderName: string, isActive = true): ServerPacket => ({
  kind: 'typingEvent',
  senderName,
  toKind: 0,
  to: 'alice',
  isActive,
})
const typists = (rig: Rig): [string, boolean][] => rig.notices('typing').map(({ user, isActive }) => [user, isActive])

describe('that the user is typing', () => {
  it('is told each destination for itself, and that it has stopped only where that was told', () => {
    const rig = new Rig().live()
    type(rig, false, 'dave')
    type(rig, true)
    type(rig, true, 'carol')
    type(rig, false, 'carol')
    expect(told(rig)).toEqual([
      ['bob', true],
      ['carol', true],
      ['carol', false],
    ])
  })

  it('is told nobody without a session, then or later', () => {
    const rig = new Rig().open()
    rig.clear()
    type(rig, true)
    expect(rig.effects).toEqual([])
    rig.live()
    ring(rig, 1_000)
    expect(told(rig)).toEqual([])
  })

  it('is told a second after it was told last, however lately it stopped', () => {
    const rig = new Rig().live()
    type(rig, true)
    rig.advance(900)
    type(rig, false)
    rig.advance(100)
    type(rig, true)
    expect(told(rig).map(([, isActive]) => isActive)).toEqual([true, false, true])
  })

  it('is repeated when the app says it again, and by no timer', () => {
    const rig = new Rig().live()
    type(rig, true)
    ring(rig, 1_000)
    type(rig, true)
    ring(rig, 5_000)
    expect(told(rig)).toEqual([['bob', true]])
    type(rig, true)
    expect(told(rig)).toHaveLength(2)
  })

  it('is forgotten a second after it began, once it has stopped: no timer is set any more', () => {
    const rig = new Rig().live()
    type(rig, true)
    type(rig, false)
    expect(timers(rig)).toEqual([1_000])
    ring(rig, 999)
    expect(timers(rig)).toEqual([1_000, 1_000])
    type(rig, true)
    type(rig, false)
    expect(told(rig)).toHaveLength(2)
    ring(rig, 1)
    expect(timers(rig)).toEqual([1_000, 1_000])
  })

  it('sets its timer again on the next connection', () => {
    const rig = new Rig().live()
    type(rig, true)
    lose(rig)
    expect(rig.all('clearTimer').map(({ timer }) => timer)).toContain('typing')
    rig.step({ kind: 'timer', timer: 'connection' })
    rig.live()
    rig.clear()
    type(rig, true)
    expect([told(rig), timers(rig)]).toEqual([[['bob', true]], [1_000]])
  })

  it('is remembered of ten thousand destinations [I10]', () => {
    const rig = new Rig().live()
    for (let at = 1; at <= 10_001; at++) type(rig, true, `user-${at}`)
    rig.clear()
    for (const at of [1, 10_000, 10_001]) type(rig, true, `user-${at}`)
    expect(told(rig)).toEqual([['user-10001', true]])
  })
})

describe('who is typing', () => {
  it('is forgotten one by one, and told no more once it was told to have stopped', () => {
    const rig = new Rig().live()
    rig.say(typing('bob'), typing('carol'), typing('dave'), typing('dave', false))
    expect(timers(rig)).toEqual([1_000])
    rig.advance(5_000)
    rig.say(typing('carol'))
    rig.clear()
    ring(rig, 5_000)
    expect([typists(rig), timers(rig)]).toEqual([[['bob', false]], [1_000]])
    ring(rig, 5_000)
    expect([typists(rig), timers(rig)]).toEqual([
      [
        ['bob', false],
        ['carol', false],
      ],
      [1_000],
    ])
  })

  it('is forgotten also while the user is typing to them', () => {
    const rig = new Rig().live()
    type(rig, true)
    rig.say(typing('bob'))
    ring(rig, 1_000)
    expect(timers(rig)).toEqual([1_000, 1_000])
  })

  it('sets no timer where nobody is', () => {
    const rig = new Rig().live()
    rig.say(typing('bob', false))
    expect(timers(rig)).toEqual([])
  })

  it('has stopped, as far as can be told, with the connection', () => {
    const rig = new Rig().live()
    rig.say(typing('bob'))
    lose(rig)
    expect(typists(rig)).toEqual([
      ['bob', true],
      ['bob', false],
    ])
  })

  it('is remembered of ten thousand, each as long as it goes on [I10]', () => {
    const rig = new Rig().live()
    for (let at = 1; at <= 10_001; at++) rig.say(typing(`user-${at}`))
    rig.advance(5_000)
    rig.say(typing('user-1'))
    rig.clear()
    ring(rig, 5_000)
    expect(typists(rig).length).toBe(9_999)
    ring(rig, 5_000)
    expect(typists(rig).at(-1)).toEqual(['user-1', false])
  })
})

describe('presence', () => {
  it('is asked for once, however many watch a user, and until the last of them stops', () => {
    const rig = new Rig().live()
    watch(rig, true, 'bob')
    watch(rig, true, 'bob', 'carol')
    watch(rig, false, 'bob', 'dave')
    watch(rig, false, 'bob')
    expect(watched(rig)).toEqual([
      [['bob'], true],
      [['carol'], true],
      [['bob'], false],
    ])
    rig.clear()
    rig.reconnect()
    expect(watched(rig)).toEqual([[['carol'], true]])
  })

  it('is asked for 256 users at a time', () => {
    const rig = new Rig().live()
    const users = Array.from({ length: 300 }, (_, at) => `user-${at}`)
    watch(rig, true, ...users)
    expect(watched(rig)).toEqual([
      [users.slice(0, 256), true],
      [users.slice(256), true],
    ])
  })

  it('is asked for after WELCOME, and not before', () => {
    const rig = new Rig().open()
    rig.greet()
    watch(rig, true, 'bob')
    expect(watched(rig)).toEqual([])
    rig.say({ ...welcome, serverTimeMs: rig.serverMs })
    expect(watched(rig)).toEqual([[['bob'], true]])
  })

  it('is told of those who are watched, in the words of the app', () => {
    const rig = new Rig().live()
    watch(rig, true, 'bob')
    for (const state of [0, 1, 2]) rig.say({ kind: 'presence', user: 'bob', state, lastSeenMs: 5 })
    rig.say({ kind: 'presence', user: 'carol', state: 1, lastSeenMs: 0 })
    expect(rig.notices('presence').map(({ user, state }) => [user, state])).toEqual([
      ['bob', 'offline'],
      ['bob', 'online'],
      ['bob', 'unknown'],
    ])
  })
})
