/** What goes from a log, and when: what is passed and stored, what is closed, and at the limit the oldest of what is stored. */
import { codeNumber } from '@posthaste/protocol'
import { describe, expect, it, vi } from 'vitest'
import { defaultSettings, type Settings } from '../src/index.ts'
import { entryKey, type Lane, type LogRow } from '../src/rows/rows.ts'
import { dropOldest, trimLane } from '../src/shard/log.ts'
import { dayMs } from './client.ts'
import { Ground, roomy, team } from './ground.ts'
import { outersOf } from './keyRows.ts'

const lane = 8

/** Alice has written `count` messages to bob, who has so many devices. */
function inbox(count: number, devices = 3): Ground {
  const made = new Ground({ pace: roomy })
  made.users('alice', 'bob')
  for (let device = 1; device <= devices; device++) made.connect('bob', device)
  made.fill('alice', 'bob', count)
  return made
}

const logOf = (made: Ground, name: string): LogRow => made.state.log(made.log(name)) as LogRow
const placeOf = (made: Ground, name: string, at = lane): Lane => logOf(made, name).lanes[at] as Lane
const contactOf = (made: Ground, to = 'bob') => made.state.contacts.get(made.log(to), made.log('alice'))

/** The seqs of a lane that have a body. */
const kept = (made: Ground, name: string, at = lane): number[] =>
  made.seqs(name, at).filter((seq) => (made.entry(name, seq, at)?.bytes.length ?? 0) > 0)

function set(made: Ground, settings: Partial<Settings>): void {
  made.apply({ kind: 'settings', ...defaultSettings, ...settings })
}

describe('what a device has stored', () => {
  it('[I10] waits no longer, and is counted so once, however many devices pass it', () => {
    const made = inbox(3)
    const waiting = (): unknown[] => [logOf(made, 'bob').waiting, logOf(made, 'bob').waitingBytes, contactOf(made)?.waiting]
    made.ack('bob', 1, 3)
    expect(waiting()).toEqual([0, 0, 0])
    made.ack('bob', 2, 3)
    made.ack('bob', 3, 2)
    made.ack('bob', 3, 3, { notStored: [[3, 3]] })
    expect([waiting(), made.seqs('bob'), placeOf(made, 'bob').trim]).toEqual([[0, 0, 0], [], 3])
    expect([1, 2, 3].map((id) => made.status('alice', 'bob', id))).toEqual(['delivered', 'delivered', 'delivered'])
  })

  it('[I6] stays delivered, though another device passes it unstored before it is gone', () => {
    const made = inbox(3)
    made.ack('bob', 1, 3)
    expect(made.ack('bob', 2, 3, { notStored: [[1, 3]] }).statuses).toEqual([])
    expect(made.status('alice', 'bob', 2)).toBe('delivered')
  })

  it('[I6] of what had expired it told in time, and of what has no key it tells nothing', () => {
    const made = inbox(0)
    const deadlineMs = made.clockMs + 1_000
    made.send('alice', 'bob', { id: 1, deadlineMs })
    made.send('alice', 'bob', { id: 2, deadlineMs, receipts: false })
    made.send('alice', 'bob', { id: 0, deadlineMs })
    expect(made.pass(1_000).statuses.map(({ id }) => id)).toEqual([1n, 2n])
    expect(made.ack('bob', 1, 3).statuses).toMatchObject([{ id: 1n, status: codeNumber('delivered') }])
    expect([1, 2].map((id) => made.status('alice', 'bob', id))).toEqual(['delivered', 'expired'])
  })

  it.each([
    [-1, 'sent', []],
    [0, 'expired', ['expired']],
  ] as const)('[I6] without receipts is expired from its deadline on, closed or not: %i ms from it', (ms, name, told) => {
    const made = inbox(300, 2)
    // Its lane rests after a long search.
    made.send('alice', 'bob', { id: 998, deadlineMs: made.clockMs + 10 })
    made.send('alice', 'bob', { id: 999, deadlineMs: made.clockMs + 12, receipts: false })
    made.pass(10)
    made.clockMs += 2 + ms
    const { statuses } = made.ack('bob', 1, 302, { notStored: [[1, 301]] })
    expect(statuses.filter(({ id }) => id === 999n).map(({ status }) => status)).toEqual(told.map(codeNumber))
    expect(made.status('alice', 'bob', 999)).toBe(name)
  })

  it('[I6] as a copy says nothing of the message with that id that one has sent to oneself', () => {
    const made = new Ground({ pace: roomy })
    made.users('alice', 'bob')
    for (const device of [99, 1, 2]) made.connect('alice', device)
    made.send('alice', 'alice')
    made.send('alice', 'bob')
    expect([1, 2].map((seq) => made.entry('alice', seq)?.isEcho)).toEqual([false, true])
    const { statuses } = made.ack('alice', 99, 2, { notStored: [[2, 2]] })
    made.ack('alice', 1, 2, { notStored: [[2, 2]] })
    expect([statuses, made.status('alice', 'alice', 1)]).toEqual([[], 'delivered'])
    // A copy needs nobody to store it.
    made.ack('alice', 2, 2, { notStored: [[2, 2]] })
    expect([made.seqs('alice'), logOf(made, 'alice').echoes, logOf(made, 'alice').echoBytes]).toEqual([[], 0, 0])
  })
})

describe('what is closed', () => {
  it('[I6] unstored is passed by all devices as it is: expired, and gone', () => {
    const made = inbox(1)
    made.send('alice', 'bob', { id: 2, deadlineMs: made.clockMs + 1_000 })
    made.pass(1_000)
    for (const device of [1, 2, 3]) made.ack('bob', device, 2, { notStored: [[2, 2]] })
    expect([made.seqs('bob'), logOf(made, 'bob').waiting, contactOf(made)?.waiting]).toEqual([[], 0, 0])
    expect(made.status('alice', 'bob', 2)).toBe('expired')
  })

  it.each(['bob', '#team'])('[I6] without an id is told to nobody: in %s', (to) => {
    const made = team(0)
    made.send('alice', to, { id: 0, deadlineMs: made.clockMs + 1_000 })
    made.send('alice', to, { id: 2, deadlineMs: made.clockMs + 1_000 })
    expect(made.pass(1_000).statuses.map(({ id }) => id)).toEqual([2n])
    expect(made.seqs(to)).toEqual([2])
  })

  it('[I6] is told in time, whatever has gone from its lane before: only what is there makes a search long', () => {
    const made = inbox(500, 1)
    made.ack('bob', 1, 500)
    for (const [id, ms] of [
      [501, 10],
      [502, 12],
    ] as const)
      made.send('alice', 'bob', { id, deadlineMs: made.clockMs + ms })
    expect([made.pass(10), made.pass(2)].map(({ statuses }) => statuses.map(({ id }) => id))).toEqual([[501n], [502n]])
  })

  it('[I10] goes so many rows at a time, and the rest is due at once', () => {
    const made = team(0)
    made.fill('alice', '#team', 10, { deadlineMs: made.clockMs + dayMs })
    const [log, group] = [logOf(made, '#team'), made.log('#team')]
    for (let seq = 1; seq <= 10; seq++) {
      const entry = made.entry('#team', seq)
      if (entry === undefined) throw new Error('no entry')
      made.state.entries.touch(group, entryKey(lane, seq), entry)
      if (seq !== 8) entry.bytes = new Uint8Array(0)
    }
    made.state.changeLog(group, log)
    const trim = (rows: number): number[] => [trimLane(made.state, group, log, lane, rows), placeOf(made, '#team').trim]
    expect([trim(3), log.dueMs]).toEqual([[3, 3], made.clockMs])
    expect([trim(4), trim(4), trim(4)]).toEqual([
      [4, 7],
      [0, 7],
      [0, 7],
    ])
  })

  it('[I6] [I10] keeps a stub for the time of its key, and so does what was dropped', () => {
    const made = team(4)
    made.send('alice', '#team', { id: 5, deadlineMs: made.clockMs + 10 * dayMs })
    made.ack('bob', 1, 4, { to: '#team' })
    set(made, { groupEntries: 2 })
    made.ack('bob', 2, 1, { to: '#team' })
    expect([made.seqs('#team'), kept(made, '#team')]).toEqual([
      [1, 2, 3, 4, 5],
      [3, 4, 5],
    ])
    made.pass(dayMs)
    made.pass(dayMs - 1)
    expect([made.seqs('#team'), kept(made, '#team')]).toEqual([[1, 2, 3, 4, 5], [5]])
    made.pass(1)
    expect(made.seqs('#team')).toEqual([5])
  })
})

describe('what a device that is gone has held back', () => {
  it('goes up to where the others have passed, if one has stored it', () => {
    const made = new Ground({ pace: roomy })
    made.users('alice', 'bob')
    set(made, { deviceDays: 1 })
    for (const device of [1, 2]) made.connect('bob', device)
    made.fill('alice', 'bob', 5, { deadlineMs: made.clockMs + 20 * dayMs })
    const session = made.device('bob', 2)?.session ?? 0
    made.apply({ kind: 'sessionEnd', user: made.log('bob'), device: made.device('bob', 2)?.id ?? '', session })
    made.ack('bob', 1, 4, { notStored: [[3, 3]] })
    expect([made.seqs('bob'), placeOf(made, 'bob').trim]).toEqual([[1, 2, 3, 4, 5], 0])
    made.pass(dayMs)
    expect([made.device('bob', 2), made.seqs('bob'), placeOf(made, 'bob').trim]).toEqual([undefined, [3, 4, 5], 2])
    made.connect('bob', 3)
    made.ack('bob', 3, 3)
    expect([made.seqs('bob'), placeOf(made, 'bob').trim]).toEqual([[4, 5], 3])
    made.ack('bob', 3, 4)
    expect([made.seqs('bob'), placeOf(made, 'bob').trim]).toEqual([[5], 4])
  })

  it('[I1] stays when no device is left, for one that may come, until its deadline', () => {
    const made = inbox(3, 2)
    set(made, { deviceDays: 1 })
    made.ack('bob', 1, 2)
    for (const device of [1, 2]) {
      const { id = '', session = 0 } = made.device('bob', device) ?? {}
      made.apply({ kind: 'sessionEnd', user: made.log('bob'), device: id, session })
    }
    made.fill('alice', 'bob', 5, { deadlineMs: made.clockMs + 3 * dayMs }, 4)
    made.pass(dayMs)
    expect([logOf(made, 'bob').devices, made.seqs('bob'), placeOf(made, 'bob').trim]).toEqual([[], [4, 5], 3])
    const other = inbox(3, 2)
    set(other, { deviceDays: 1 })
    other.ack('bob', 1, 2)
    logOf(other, 'bob').devices = []
    trimLane(other.state, other.log('bob'), logOf(other, 'bob'), lane)
    expect([other.seqs('bob'), placeOf(other, 'bob').trim]).toEqual([[1, 2, 3], 0])
  })
})

describe('[I10] at the limit of what is kept', () => {
  /** Has a log let go what it may. */
  function drop(made: Ground, name: string): void {
    const log = logOf(made, name)
    made.state.changeLog(made.log(name), log)
    dropOldest(made.state, made.log(name), log)
  }

  it('the oldest go, of a user without a trace, of a group but for their stubs', () => {
    for (const [name, seqs] of [
      ['bob', [3, 4, 5, 6]],
      ['#team', [1, 2, 3, 4, 5, 6]],
    ] as const) {
      const made = team(0)
      made.fill('alice', name, 6)
      made.ack('bob', 1, 5, { to: name, notStored: [[3, 3]] })
      const other = name === 'bob' ? { groupEntries: 0, groupBytes: 0 } : { inboxEntries: 0, inboxBytes: 0 }
      set(made, { [name === 'bob' ? 'inboxEntries' : 'groupEntries']: 2, ...other })
      drop(made, name)
      // Two that are stored, and two that wait.
      expect([kept(made, name), made.seqs(name), logOf(made, name).kept]).toEqual([[3, 4, 5, 6], seqs, 4])
    }
  })

  it.each(['bob', '#team'])('bytes count as well as messages: of %s', (name) => {
    const made = team(0)
    made.fill('alice', name, 6)
    made.ack('bob', 1, 5, { to: name })
    const bytes = made.entry(name, 1)?.bytes.length ?? 0
    const limit = name === 'bob' ? 'inboxBytes' : 'groupBytes'
    const left = [3 * bytes, 3 * bytes - 1].map((most) => {
      set(made, { [limit]: most })
      drop(made, name)
      return kept(made, name)
    })
    expect(left).toEqual([
      [3, 4, 5, 6],
      [4, 5, 6],
    ])
  })

  it('copies of what one has sent do not count, nor go', () => {
    const made = new Ground({ pace: roomy })
    made.users('alice', 'bob')
    for (const device of [99, 1, 2]) made.connect('alice', device)
    for (const id of [1, 2, 3]) made.send('bob', 'alice', { id })
    for (const id of [4, 5]) made.send('alice', 'bob', { id })
    made.send('bob', 'alice', { id: 6 })
    made.ack('alice', 1, 6)
    set(made, { inboxEntries: 4 })
    drop(made, 'alice')
    expect(kept(made, 'alice')).toEqual([1, 2, 3, 4, 5, 6])
    const bytes = made.entry('alice', 1)?.bytes.length ?? 0
    set(made, { inboxBytes: 4 * bytes })
    drop(made, 'alice')
    expect(kept(made, 'alice')).toEqual([1, 2, 3, 4, 5, 6])
    set(made, { inboxEntries: 1 })
    drop(made, 'alice')
    expect(kept(made, 'alice')).toEqual([4, 5, 6])
  })

  it('of several that came at once the one of the higher lane goes first', () => {
    const made = inbox(0)
    for (const [id, at] of [
      [1, 9],
      [2, 3],
      [3, 5],
    ] as const)
      made.send('alice', 'bob', { id, lane: at })
    for (const at of [3, 5, 9]) made.ack('bob', 1, 1, { lane: at })
    set(made, { inboxEntries: 2 })
    drop(made, 'bob')
    expect([3, 5, 9].map((at) => kept(made, 'bob', at))).toEqual([[], [1], [1]])
  })

  it('what is stored late is the oldest all the same', () => {
    const made = inbox(5)
    made.ack('bob', 1, 4, { notStored: [[1, 1]] })
    set(made, { inboxEntries: 2 })
    drop(made, 'bob')
    expect([kept(made, 'bob'), placeOf(made, 'bob').droppedSeq]).toEqual([[1, 3, 4, 5], 1])
    made.ack('bob', 2, 1)
    expect([kept(made, 'bob'), placeOf(made, 'bob').droppedSeq]).toEqual([[3, 4, 5], 0])
  })

  it('256 go at once, and of a lane 256 are looked at for the oldest', () => {
    const made = inbox(600)
    made.ack('bob', 1, 600, { notStored: [[1, 300]] })
    set(made, { inboxEntries: 10 })
    const reads = vi.spyOn(made.state.entries, 'get')
    drop(made, 'bob')
    expect(reads.mock.calls.length).toBe(256)
    expect([placeOf(made, 'bob').droppedSeq, kept(made, 'bob').length]).toEqual([256, 600])
    drop(made, 'bob')
    expect([kept(made, 'bob').length, kept(made, 'bob').slice(299, 301)]).toEqual([344, [300, 557]])
    drop(made, 'bob')
    expect([kept(made, 'bob').length, logOf(made, 'bob').kept]).toEqual([310, 310])
  })

  it('the search goes no further than there is something', () => {
    const made = inbox(2)
    made.send('alice', 'bob', { id: 3, lane: 9 })
    made.ack('bob', 1, 2, { notStored: [[1, 2]] })
    made.ack('bob', 1, 1, { lane: 9 })
    set(made, { inboxEntries: 0 })
    drop(made, 'bob')
    expect([placeOf(made, 'bob').droppedSeq, kept(made, 'bob'), kept(made, 'bob', 9)]).toEqual([2, [1, 2], []])
  })
})

describe('the table of what is due', () => {
  it('[I10] is written once for many messages with one deadline, or with later ones', () => {
    const made = inbox(0, 0)
    const writes = vi.spyOn(made.state.due, 'put')
    const deadlineMs = made.clockMs + dayMs
    for (const [id, ms] of [0, 0, 5, 0].entries()) made.send('alice', 'bob', { id: id + 1, deadlineMs: deadlineMs + ms })
    expect(writes.mock.calls.map(([dueMs]) => dueMs)).toEqual([deadlineMs])
    made.send('alice', 'bob', { id: 9, deadlineMs: deadlineMs - 1 })
    expect([writes.mock.calls.length, outersOf(made.state.due, 0, deadlineMs + dayMs)]).toEqual([2, [deadlineMs - 1]])
  })
})
