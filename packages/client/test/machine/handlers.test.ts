import { describe, expect, it } from 'vitest'
import type { FailureDecision } from '../../src/machine/events.ts'
import { tables } from '../../src/machine/rows.ts'
import { code, deliver, Disk, Rig } from './rig.ts'

const at = (seq: number, epoch = 7) => ({ epoch, log: 100, lane: 8, seq })
const seqs = (rig: Rig): number[] => rig.handled().map(({ entry }) => entry.position.seq)
const sized = (seq: number, bytes: number) => deliver(seq, { body: new Uint8Array(bytes) })
const upTo = (rig: Rig): number => rig.sent('ack').at(-1)?.upTo ?? 0
const done = (rig: Rig): void => rig.step({ kind: 'handlerDone', run: rig.handled().at(-1)?.run ?? expect.fail() })
const retryStore = (rig: Rig): void => {
  rig.isHolding = false
  rig.step({ kind: 'timer', timer: 'store' })
}
const fails = (rig: Rig, decision: FailureDecision | 'release'): void =>
  rig.step({ kind: 'handlerFailed', run: rig.handled().at(-1)?.run ?? expect.fail(), decision })
const timers = (rig: Rig): number[] =>
  rig.all('setTimer').flatMap(({ timer, delayMs }) => (timer === 'handlers' ? [delayMs] : []))

/** Which entries a restart hands over, each with whether it is said to come again. */
function afterCrash(disk: Disk, isBatched = false): [number, boolean][] {
  const rig = new Rig(disk).open()
  rig.receive([], isBatched)
  for (let before = 0; before < rig.handled().length; before++) done(rig)
  return rig.handled().map(({ entry, redelivered }) => [entry.position.seq, redelivered])
}

describe('the room of the inbox', () => {
  it('is counted in bytes, to the very limit, and is there again once a handler is done [I10]', () => {
    const rig = new Rig(new Disk(), { inboxBytes: 100 }).live()
    rig.say(sized(1, 60), sized(2, 40), sized(3, 60), sized(4, 1))
    expect(upTo(rig)).toBe(2)
    rig.receive()
    done(rig)
    expect(upTo(rig)).toBe(3)
    done(rig)
    expect(upTo(rig)).toBe(4)
  })

  it('takes one entry, however large it is, and nothing beside it', () => {
    const rig = new Rig(new Disk(), { inboxBytes: 10 }).live()
    rig.say(sized(1, 20), sized(2, 0))
    expect(upTo(rig)).toBe(1)
    rig.receive()
    done(rig)
    expect(upTo(rig)).toBe(2)
  })

  it.each([{ inboxMessages: 2 }, { inboxBytes: 80 }])('is not used up by what could not be stored: %o', (limits) => {
    const rig = new Rig(new Disk(), limits).live()
    rig.say(sized(1, 40))
    rig.isHolding = true
    rig.say(sized(2, 40))
    rig.fail()
    retryStore(rig)
    rig.step({ kind: 'timer', timer: 'connection' })
    rig.live().say(sized(2, 40), sized(3, 1))
    expect(upTo(rig)).toBe(2)
  })

  it.each([{ inboxMessages: 2 }, { inboxBytes: 80 }])('is as full after a restart as before: %o [I10]', (limits) => {
    const rig = new Rig(new Disk(), limits).live()
    rig.say(sized(1, 40), sized(2, 40))
    const restarted = new Rig(rig.disk, limits).live()
    restarted.say(sized(3, 40))
    expect(upTo(restarted)).toBe(0)
    restarted.receive()
    done(restarted)
    expect(upTo(restarted)).toBe(3)
  })
})

describe('the mark that a handler may have been started', () => {
  it('is stored with its entry, or with the acknowledgement before it: one commit for each entry', () => {
    const rig = new Rig().live()
    rig.receive()
    rig.clear()
    rig.say(deliver(1), deliver(2))
    expect([seqs(rig), rig.all('commit').length]).toEqual([[1], 1])
    done(rig)
    expect([seqs(rig), rig.all('commit').length]).toEqual([[1, 2], 2])
  })

  it('is not stored for what waits behind a handler: after a crash only one message is said to come again', () => {
    const rig = new Rig().live()
    rig.receive()
    rig.say(deliver(1))
    rig.say(deliver(2))
    expect(afterCrash(rig.disk)).toEqual([
      [1, true],
      [2, false],
    ])
  })

  it.each(['before', 'after'])('runs 64 entries ahead at most, where the app asks for speed %s they come', (order) => {
    const rig = new Rig(new Disk(), { inboxMessages: 1_000 }).live()
    const entries = Array.from({ length: 100 }, (_, index) => deliver(index + 1))
    if (order === 'before') rig.receive([], true)
    rig.say(...entries)
    rig.receive([], true)
    expect(afterCrash(rig.disk).filter(([, redelivered]) => redelivered)).toHaveLength(64)
  })

  it('falls back at a clean close to what was really started, and else costs no commit', () => {
    for (const isBatched of [true, false]) {
      const rig = new Rig().live()
      rig.receive([], isBatched)
      rig.say(deliver(1), deliver(2), deliver(3))
      rig.clear()
      rig.ask({ kind: 'close' })
      expect(rig.all('commit')).toHaveLength(isBatched ? 1 : 0)
      expect(afterCrash(rig.disk)).toEqual([
        [1, true],
        [2, false],
        [3, false],
      ])
    }
  })

  it('that could not be stored is stored with the next commit, and no handler starts before', () => {
    const rig = new Rig().live()
    rig.say(deliver(1))
    rig.isHolding = true
    rig.receive()
    rig.fail()
    expect(seqs(rig)).toEqual([])
    retryStore(rig)
    expect(seqs(rig)).toEqual([1])
    expect(afterCrash(rig.disk)).toEqual([[1, true]])
  })
})

describe('the next handler of a lane', () => {
  /** One whose next entries were marked ahead by the run before. */
  function markedAhead(): Rig {
    const rig = new Rig().live()
    rig.receive([], true)
    rig.say(deliver(1), deliver(2))
    const restarted = new Rig(rig.disk).open()
    restarted.receive()
    restarted.isHolding = true
    return restarted
  }

  it('waits for the acknowledgement of the one before, though its own mark is stored already', () => {
    const rig = markedAhead()
    done(rig)
    rig.step({ kind: 'timer', timer: 'handlers' })
    expect(seqs(rig)).toEqual([1])
    rig.release()
    expect(seqs(rig)).toEqual([1, 2])
  })

  it('waits also while that has failed to be stored', () => {
    const rig = markedAhead()
    done(rig)
    rig.fail()
    rig.step({ kind: 'timer', timer: 'handlers' })
    expect(seqs(rig)).toEqual([1])
    retryStore(rig)
    expect(seqs(rig)).toEqual([1, 2])
  })

  it('is not held up by what is handed over again', () => {
    const rig = new Rig().live()
    rig.receive([], true)
    rig.say(deliver(1))
    fails(rig, 'set-aside')
    rig.ask({ kind: 'stopReceiving' })
    rig.say(deliver(2), deliver(3))
    rig.ask({ kind: 'setAside', action: 'retry', position: at(1) })
    rig.receive([], true)
    done(rig)
    done(rig)
    expect(seqs(rig)).toEqual([1, 2, 3, 1])
  })
})

describe('a handler that failed', () => {
  it('has its message come again after the time that was named, by a timer set for the first of several', () => {
    const rig = new Rig().live()
    rig.receive()
    rig.say(deliver(1))
    expect(timers(rig)).toEqual([])
    fails(rig, { retryInMs: 500 })
    rig.say(deliver(1, { lane: 0, id: 5n }))
    fails(rig, { retryInMs: 200 })
    rig.say(deliver(1, { lane: 1, id: 6n }))
    fails(rig, { retryInMs: 300 })
    expect([timers(rig).at(-1), rig.notices('error')]).toEqual([200, []])
    rig.advance(300)
    rig.clear()
    rig.step({ kind: 'timer', timer: 'handlers' })
    expect([rig.handled().map(({ entry }) => entry.position.lane), timers(rig)]).toEqual([[0, 1], [200]])
  })

  it('leaves its message to the next one at once, whenever it wanted to try again itself', () => {
    const rig = new Rig().live()
    rig.receive()
    rig.say(deliver(1))
    fails(rig, { retryInMs: 86_400_000 })
    rig.receive()
    expect(seqs(rig)).toEqual([1])
    rig.ask({ kind: 'stopReceiving' })
    rig.receive()
    expect(seqs(rig)).toEqual([1, 1])
  })

  it('is waited for by who stops it, and what begins after that is not', () => {
    const rig = new Rig().live()
    rig.receive()
    rig.say(deliver(1))
    const stop = rig.ask({ kind: 'stopReceiving' })
    rig.receive()
    rig.say(deliver(1, { lane: 0, id: 5n }))
    expect([rig.handled().map(({ run }) => run), rig.answer(stop)]).toEqual([[1, 2], undefined])
    rig.isHolding = true
    rig.step({ kind: 'handlerDone', run: 1 })
    expect(rig.answer(stop)).toBeUndefined()
    rig.release()
    expect(rig.answer(stop)).toEqual({ kind: 'done' })
  })

  it('leaves its message to the next one when it was stopped meanwhile', () => {
    const rig = new Rig().live()
    rig.receive()
    rig.say(deliver(1))
    rig.ask({ kind: 'stopReceiving' })
    fails(rig, 'release')
    expect(seqs(rig)).toEqual([1])
    rig.receive()
    expect(rig.handled().at(-1)).toMatchObject({ entry: { position: at(1) }, redelivered: true, attempt: 2 })
  })

  it('has a thousand messages set aside at most: one more is kept, and tried again in a minute [I10]', () => {
    const rig = new Rig(new Disk(), { inboxMessages: 2_000 }).live()
    rig.receive()
    rig.say(...Array.from({ length: 1_001 }, (_, index) => deliver(index + 1)))
    for (let seq = 1; seq <= 1_000; seq++) fails(rig, 'set-aside')
    expect([rig.disk.count(tables.setAside), rig.notices('error')]).toEqual([1_000, []])
    fails(rig, 'set-aside')
    expect([rig.disk.count(tables.setAside), rig.disk.count(tables.inbox), timers(rig)]).toEqual([1_000, 1, [60_000]])
    const message = '1000 messages are set aside already; the next one is tried again in a minute.'
    expect(rig.notices('error')).toEqual([{ kind: 'error', fault: { code: 'set-aside-full', message, retryable: true } }])
  })
})

describe('what was set aside', () => {
  it('is refused where there is nothing at that place', () => {
    const rig = new Rig().live()
    const fault = { code: 'not-found', message: 'No such message is set aside.', retryable: false }
    for (const action of ['retry', 'drop'] as const) {
      expect(rig.answer(rig.ask({ kind: 'setAside', action, position: at(1) }))).toEqual({ kind: 'fault', fault })
    }
  })

  it('is dropped by its own place, and nothing beside it', () => {
    const rig = new Rig().live()
    rig.receive()
    rig.say(deliver(1), deliver(2))
    fails(rig, 'set-aside')
    fails(rig, 'set-aside')
    rig.ask({ kind: 'setAside', action: 'drop', position: at(1) })
    const left = { kind: 'setAside', entries: [{ position: at(2) }] }
    expect(rig.answer(rig.ask({ kind: 'listSetAside' }))).toMatchObject(left)
    expect(rig.disk.count(tables.setAside)).toBe(1)
  })

  it('is answered at once when it is handed over again: it stays stored until it is done', () => {
    const rig = new Rig().live()
    rig.receive()
    rig.say(deliver(1))
    fails(rig, 'set-aside')
    rig.isHolding = true
    expect(rig.answer(rig.ask({ kind: 'setAside', action: 'retry', position: at(1) }))).toEqual({ kind: 'done' })
    expect(rig.disk.count(tables.setAside)).toBe(1)
  })
})

describe('a stop', () => {
  it('is told where what is done could not be stored', () => {
    const rig = new Rig().live()
    rig.receive()
    rig.say(deliver(1))
    const call = rig.ask({ kind: 'stopReceiving' })
    rig.isHolding = true
    done(rig)
    rig.fail()
    expect(rig.answer(call)).toMatchObject({ kind: 'fault', fault: { code: 'store-failed' } })
  })

  it('by a close is for good, though the store is still being written', () => {
    const rig = new Rig().live()
    rig.receive()
    rig.say(deliver(1), deliver(2))
    rig.say({ kind: 'error', code: code('replaced'), retryAfterMs: 0, text: '' })
    rig.isHolding = true
    done(rig)
    const call = rig.ask({ kind: 'close' })
    rig.receive()
    rig.releaseOne()
    expect(seqs(rig)).toEqual([1])
    rig.release()
    expect([rig.answer(call), seqs(rig)]).toEqual([{ kind: 'done' }, [1]])
  })
})

describe('the positions that the app keeps', () => {
  /** A client with entries of two epochs. */
  function twoEpochs(): Rig {
    const rig = new Rig().live()
    rig.say(deliver(1), deliver(2))
    rig.reconnect({ epoch: 8 })
    rig.say(deliver(1, { id: 0n, timeMs: rig.serverMs }))
    return rig
  }

  it('cover everything of an older epoch', () => {
    const rig = twoEpochs()
    rig.receive([at(1, 8)])
    expect([rig.handled(), rig.disk.count(tables.inbox)]).toEqual([[], 0])
  })

  it('cover nothing of a later epoch', () => {
    const rig = twoEpochs()
    rig.receive([at(9, 7)])
    expect(rig.handled()).toMatchObject([{ entry: { position: at(1, 8) } }])
  })
})
