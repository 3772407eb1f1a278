import { codeNumber } from '@posthaste/protocol'
import { describe, expect, it } from 'vitest'
import { dayMs } from './client.ts'
import { Ground } from './ground.ts'

/** More than a record looks at when it closes what is due. */
const many = 2_100
const minuteMs = 60_000
const [expired, removed] = [codeNumber('expired'), codeNumber('removed')]

/** Many messages of carol's, and one of alice's with this id, which all end while nothing is running. */
function afterTwoDays(to: 'bob' | '#team', before = many): Ground {
  const made = new Ground()
  made.users('alice', 'carol', 'bob')
  made.group('#team', 'alice', 'carol', 'bob')
  made.connect('bob', 1)
  for (let id = 1; id <= before; id++) made.send('carol', to, { id, deadlineMs: made.clockMs + minuteMs })
  made.send('alice', to, { id: 7, deadlineMs: made.clockMs + minuteMs })
  made.clockMs += 2 * dayMs
  return made
}

/** The statuses of alice's id that a record tells. */
function told(made: Ground, effects: ReturnType<Ground['apply']>): number[] {
  return effects.statuses.filter(({ id, sender }) => id === 7n && sender === made.log('alice')).map(({ status }) => status)
}

describe('[I6] an id that is used again once its key has ended', () => {
  it('is another message, of which the row of the first says nothing when it is closed later', () => {
    const made = afterTwoDays('bob')
    const again = made.apply(made.sendOf('alice', 'bob', { id: 7, deadlineMs: made.clockMs + dayMs }))
    expect([again.results[0]?.status, told(made, again)]).toEqual([codeNumber('sent'), []])
    const next = made.pass(1)
    expect([told(made, next), made.status('alice', 'bob', 7)]).toEqual([[], 'sent'])
    made.ack('bob', 1, many + 2, { notStored: [[1, many + 1]] })
    made.settle()
    expect(made.status('alice', 'bob', 7)).toBe('delivered')
    made.pass(dayMs + 1)
    expect(made.status('alice', 'bob', 7)).toBe('delivered')
  })

  it('is another message in a group, too', () => {
    const made = afterTwoDays('#team')
    made.apply(made.sendOf('alice', '#team', { id: 7, deadlineMs: made.clockMs + dayMs }))
    expect([told(made, made.pass(1)), made.status('alice', '#team', 7)]).toEqual([[], 'sent'])
  })

  it('is another message when what is left of the first is removed with its log', () => {
    const made = afterTwoDays('bob', 2 * many)
    made.apply(made.sendOf('alice', 'bob', { id: 7, deadlineMs: made.clockMs + dayMs }))
    const effects = [made.apply({ kind: 'userDelete', tag: 0, ref: 0, user: 'bob', validAfterMs: 0 })]
    for (let records = 0; records < 5; records++) effects.push(made.pass(1))
    expect(effects.flatMap((one) => told(made, one))).toEqual([removed])
  })

  it('is neither delivered nor lost by what a device says late of the first', () => {
    const made = new Ground()
    made.users('alice', 'bob')
    for (const device of [1, 2]) made.connect('bob', device)
    made.send('alice', 'bob', { id: 1, deadlineMs: made.clockMs + 20 * dayMs })
    made.send('alice', 'bob', { id: 7, deadlineMs: made.clockMs + minuteMs, receipts: false })
    made.pass(minuteMs + 1)
    made.settle()
    expect(made.status('alice', 'bob', 7)).toBe('expired')
    // Its key has ended, and no search has passed since.
    made.pass(dayMs + 1)
    expect([made.status('alice', 'bob', 7), made.seqs('bob')]).toEqual(['unknown', [1, 2]])
    made.send('alice', 'bob', { id: 7, deadlineMs: made.clockMs + 10_000 })
    const late = made.ack('bob', 2, 2, { notStored: [[1, 1]] })
    made.settle()
    expect([told(made, late), made.status('alice', 'bob', 7)]).toEqual([[], 'sent'])
    expect(told(made, made.pass(10_000))).toEqual([expired])
  })
})

describe('[I10] what is left of a message that has ended', () => {
  it.each(['bob', '#team'])('goes an hour after its key at the latest, though one before it is open: of %s', (to) => {
    const made = new Ground()
    made.users('alice', 'bob')
    made.group('#team', 'alice', 'bob')
    made.connect('bob', 1)
    made.send('alice', to, { id: 1, deadlineMs: made.clockMs + 20 * dayMs })
    for (const id of [2, 3]) made.send('alice', to, { id, deadlineMs: made.clockMs + id * minuteMs })
    for (let minutes = 1; minutes <= 4; minutes++) made.pass(minuteMs)
    made.settle()
    expect(made.seqs(to)).toEqual([1, 2, 3])
    made.pass(dayMs - 5 * minuteMs)
    expect(made.seqs(to)).toEqual([1, 2, 3])
    expect(made.shard.nextDueMs(made.clockMs + dayMs)).toBe(made.clockMs + 63 * minuteMs)
    made.pass(65 * minuteMs)
    expect(made.seqs(to)).toEqual([1])
    expect(made.shard.nextDueMs()).toBeUndefined()
  })
})
