import { describe, expect, it } from 'vitest'
import type { Ask } from '../../src/machine/events.ts'
import { code, deliver, draft, Rig } from './rig.ts'

const position = { epoch: 7, log: 100, lane: 8, seq: 1 }
const bob = { toKind: 0, to: 'bob', id: 5n } as const
const kinds = (rig: Rig, calls: readonly number[]): unknown[] => calls.map((call) => rig.answer(call)?.kind)
const close = (rig: Rig): number => rig.ask({ kind: 'close' })

describe('before the store may be used', () => {
  it('the first call opens it, and no other does', () => {
    const rig = new Rig()
    rig.ask({ kind: 'pending' })
    rig.send()
    rig.receive()
    expect(rig.all('open')).toHaveLength(1)
  })

  it('ten thousand calls wait; one more is refused [I10]', () => {
    const rig = new Rig()
    const calls = Array.from({ length: 10_001 }, () => rig.ask({ kind: 'pending' }))
    const busy = { code: 'busy', message: '10000 calls wait for the store.', retryable: true }
    expect(calls.filter((call) => rig.answer(call) !== undefined)).toEqual([calls[10_000]])
    expect(rig.answer(calls[10_000] ?? 0)).toEqual({ kind: 'fault', fault: busy })
    rig.open()
    expect(rig.answer(calls[9_999] ?? 0)).toMatchObject({ kind: 'pending' })
  })

  it('real-time messages take room of the outbox, too, and it is there again when nobody waits [I10]', () => {
    const rig = new Rig(undefined, { outboxMessages: 1 })
    const realtime = (): number => rig.ask({ kind: 'realtime', draft: draft() })
    const [first, second] = [realtime(), realtime()]
    expect(rig.answer(second)).toMatchObject({ fault: { code: 'outbox-full' } })
    rig.step({ kind: 'abort', call: first })
    expect(rig.answer(realtime())).toBeUndefined()
  })

  it('a handler waits for it, whatever else is asked meanwhile', () => {
    const { disk } = (() => {
      const earlier = new Rig().live()
      earlier.say(deliver(1))
      return earlier
    })()
    const rig = new Rig(disk)
    rig.receive()
    rig.ask({ kind: 'pending' })
    rig.open()
    expect(rig.handled()).toHaveLength(1)
  })

  it('a store that can’t be opened ends the client, and its calls', () => {
    const rig = new Rig()
    const call = rig.send()
    const fault = { code: 'store-locked', message: 'Another process has it.', retryable: false }
    rig.step({ kind: 'openFailed', fault })
    expect([rig.machine.connection, rig.answer(call)]).toEqual([
      { status: 'ended', fault },
      { kind: 'fault', fault },
    ])
    expect(rig.answer(close(rig))).toEqual({ kind: 'done' })
    expect(rig.all('closeStore')).toHaveLength(1)
  })
})

describe('after the connection has ended for good', () => {
  /** A client that another one has replaced. */
  function replaced(): Rig {
    const rig = new Rig().live()
    rig.send({ id: 5n })
    rig.say(deliver(1), deliver(2))
    rig.say({ kind: 'error', code: code('replaced'), retryAfterMs: 0, text: '' })
    return rig
  }

  it('what the store can say is still answered', () => {
    const rig = replaced()
    const asks: Ask[] = [
      { kind: 'find', ...bob },
      { kind: 'cancel', ...bob },
      { kind: 'pending' },
      { kind: 'groups' },
      { kind: 'listSetAside' },
      { kind: 'stopReceiving' },
    ]
    expect(
      kinds(
        rig,
        asks.map((ask) => rig.ask(ask)),
      ),
    ).toEqual(['found', 'cancelled', 'pending', 'groups', 'setAside', 'done'])
  })

  it('what needs the server is refused with why it ended', () => {
    const rig = replaced()
    const asks: Ask[] = [
      { kind: 'send', drafts: [draft()] },
      { kind: 'realtime', draft: draft() },
      { kind: 'request', request: { kind: 'groupCreate', group: 'team' } },
      { kind: 'markRead', position, sender: 200, count: 1 },
      { kind: 'retry', ...bob },
    ]
    for (const ask of asks) expect(rig.answer(rig.ask(ask))).toMatchObject({ kind: 'fault', fault: { code: 'replaced' } })
  })

  it('what is stored is still handed over', () => {
    const rig = replaced()
    rig.receive()
    rig.step({ kind: 'handlerDone', run: 1 })
    expect(rig.handled().map(({ entry }) => entry.position.seq)).toEqual([1, 2])
  })
})

describe('finding a message', () => {
  it('hurries no connection, as trying it again does', () => {
    for (const kind of ['find', 'retry'] as const) {
      const rig = new Rig().live()
      rig.send({ id: 5n })
      rig.step({ kind: 'socketClosed', socket: rig.socket, closeCode: 1_006 })
      rig.clear()
      rig.ask({ kind, ...bob })
      expect(rig.all('setTimer').map(({ timer }) => timer)).toEqual(kind === 'find' ? [] : ['connection'])
    }
  })
})

describe('closing twice', () => {
  it('is answered twice, when it is done and at once after that, and closes once what was never opened', () => {
    const rig = new Rig().live()
    rig.isHolding = true
    rig.send()
    const calls = [close(rig), close(rig)]
    expect(kinds(rig, calls)).toEqual([undefined, undefined])
    rig.release()
    expect(kinds(rig, [...calls, close(rig)])).toEqual(['done', 'done', 'done'])
    const unused = new Rig()
    close(unused)
    expect(unused.all('closeStore')).toHaveLength(1)
  })
})
