import { describe, expect, it } from 'vitest'
import type { Engine, EngineEvent } from '../../src/engine.ts'
import type { AppAsk, Entry, Notice } from '../../src/machine/events.ts'
import { entryKey } from '../../src/machine/rows.ts'
import { PosthasteError } from '../../src/errors.ts'
import { Hub, type HubPort } from '../../src/tabs/hub.ts'
import type { ToTab } from '../../src/tabs/messages.ts'

const position = { epoch: 7, log: 100, lane: 8, seq: 1 }
const receiving = { positions: [], isBatched: false }

/** A hub with an engine of which the test says what it does. */
function makeHub(): {
  readonly hub: Hub
  readonly events: EngineEvent[]
  readonly said: ToTab[]
  readonly gone: ReadonlyMap<string, () => void>
  /** What the engine was asked, and what of that was called off. */
  readonly asked: AppAsk['kind'][]
  readonly calledOff: string[]
} {
  const events: EngineEvent[] = []
  const said: ToTab[] = []
  const gone = new Map<string, () => void>()
  const asked: AppAsk['kind'][] = []
  const calledOff: string[] = []
  const engine: Engine = {
    connection: { status: 'idle' },
    dispatch: (event) => events.push(event),
    ask: ({ kind }) => {
      asked.push(kind)
      return () => calledOff.push(kind)
    },
    errorOf: (fault) => new PosthasteError(fault),
    helped: (error) => error,
    close: () => {},
  }
  const port: HubPort = {
    self: 'self',
    send: (_tab, body) => said.push(body),
    watch: (tab, call) => gone.set(tab, call),
    retire: () => {},
  }
  return { hub: new Hub(port, engine, ['other']), events, said, gone, asked, calledOff }
}

const joining = { kind: 'join', receiving: undefined, runs: [], watched: [] } as const

describe('what a tab asks before it is known whose the store is', () => {
  it('is kept up to a limit, and refused beyond it [I10]', () => {
    const { hub, said, asked } = makeHub()
    hub.take('other', { ...joining, user: '' })
    said.length = 0
    for (let call = 1; call <= 10_001; call++) hub.take('other', { kind: 'ask', call, ask: { kind: 'pending' } })
    hub.take('other', { kind: 'abort', call: 1 })
    expect(said).toMatchObject([
      { kind: 'answer', call: 10_001, answer: { kind: 'fault', fault: { code: 'busy', retryable: true } } },
    ])
    const busy = { kind: 'notice', notice: { kind: 'error', fault: { code: 'busy' } } }
    hub.take('other', { kind: 'event', event: { kind: 'watch', users: ['bob'], isOn: true } })
    hub.take('other', { kind: 'event', event: { kind: 'receive', ...receiving } })
    expect(said.slice(1)).toMatchObject([busy, busy, { kind: 'stopReceiving' }])
    hub.notice({ kind: 'user', user: 'alice' })
    expect(asked).toHaveLength(10_000)
  })
})

describe('tabs of another user', () => {
  const alice: Notice = { kind: 'user', user: 'alice' }
  const refused = {
    kind: 'notice',
    notice: { kind: 'connection', state: { status: 'ended', fault: { code: 'wrong-user' } } },
  }

  it('are refused when they come, and when it is shown later whose the store is', () => {
    for (const isLater of [false, true]) {
      const { hub, said, asked } = makeHub()
      if (!isLater) hub.notice(alice)
      hub.take('other', { ...joining, user: 'bob' })
      hub.take('other', { kind: 'ask', call: 1, ask: { kind: 'pending' } })
      if (isLater) hub.notice(alice)
      expect(said.at(-1)).toMatchObject(refused)
      expect(asked).toEqual([])
    }
  })

  it('that nobody knew to be that are refused once it is shown, and their calls called off', () => {
    const { hub, said, asked, calledOff } = makeHub()
    hub.notice({ kind: 'user', user: '' })
    hub.take('other', { ...joining, user: 'bob' })
    hub.take('other', { kind: 'ask', call: 1, ask: { kind: 'pending' } })
    expect([asked, calledOff]).toEqual([['pending'], []])
    hub.notice(alice)
    expect(said.at(-1)).toMatchObject(refused)
    expect(calledOff).toEqual(['pending'])
  })

  it('that say late whose they are are refused then, and their calls called off [I9]', () => {
    const { hub, said, asked, calledOff } = makeHub()
    hub.notice(alice)
    for (const [tab, user] of Object.entries({ other: 'alice', third: 'bob' })) {
      hub.take(tab, { ...joining, user: '' })
      hub.take(tab, { kind: 'ask', call: 1, ask: { kind: 'pending' } })
      hub.take(tab, { kind: 'user', user })
      hub.take(tab, { kind: 'ask', call: 2, ask: { kind: 'groups' } })
    }
    expect(said.at(-1)).toMatchObject(refused)
    expect([asked, calledOff]).toEqual([['pending', 'groups', 'pending'], ['pending']])
  })

  it('that say whose they are before it is known whose the store is are refused once that is [I9]', () => {
    const { hub, said, asked } = makeHub()
    hub.take('other', { ...joining, user: '' })
    hub.take('other', { kind: 'ask', call: 1, ask: { kind: 'pending' } })
    hub.take('other', { kind: 'user', user: 'bob' })
    hub.notice(alice)
    expect(said.at(-1)).toMatchObject(refused)
    expect(asked).toEqual([])
  })

  it('hear nothing more', () => {
    const { hub, said } = makeHub()
    hub.take('other', { ...joining, user: 'bob' })
    hub.notice(alice)
    const before = said.length
    hub.notice({ kind: 'read', log: 1, lane: 1, sender: 1, mark: 1 })
    expect(said).toHaveLength(before)
  })
})

it('asks what tabs of the same user, and of one that nothing shows, have asked before it was known whose the store is', () => {
  for (const user of ['alice', '']) {
    const { hub, asked, events } = makeHub()
    hub.take('other', { ...joining, user })
    hub.take('other', { kind: 'ask', call: 1, ask: { kind: 'pending' } })
    hub.take('other', { kind: 'event', event: { kind: 'typing', toKind: 0, to: 'bob', isActive: true } })
    expect(asked).toEqual([])
    hub.notice({ kind: 'user', user: 'alice' })
    expect(asked).toEqual(['pending'])
    expect(events.at(-1)).toMatchObject({ kind: 'typing' })
  }
})

it('keeps how a handler ended whose tab is gone since: its message is not handed to another tab', () => {
  const { hub, events, said, gone } = makeHub()
  hub.take('self', { kind: 'join', user: 'alice', receiving, runs: [], watched: [] })
  hub.take('other', { kind: 'join', user: 'alice', receiving, runs: [[entryKey(position), 'done']], watched: [] })
  gone.get('other')?.()
  hub.handle({ kind: 'handle', run: 1, entry: { position } as Entry, redelivered: true, attempt: 1 })
  expect(said.filter(({ kind }) => kind === 'handle')).toEqual([])
  expect(events.at(-1)).toEqual({ kind: 'handlerDone', run: 1 })
})

it('lets a tab stop receiving whose handlers have all ended, those before the leader came too', () => {
  const { hub, said } = makeHub()
  hub.notice({ kind: 'user', user: 'alice' })
  hub.take('self', { kind: 'join', user: 'alice', receiving, runs: [], watched: [] })
  hub.take('other', { kind: 'join', user: 'alice', receiving, runs: [[entryKey(position), 'done']], watched: [] })
  hub.take('other', { kind: 'ask', call: 1, ask: { kind: 'stopReceiving' } })
  expect(said.at(-1)).toEqual({ kind: 'answer', call: 1, answer: { kind: 'done' } })
})

it('calls the handler that a tab has anew, though the one that it had for the leader before was stopped while it ran', () => {
  const { hub, events, said } = makeHub()
  hub.notice({ kind: 'user', user: 'alice' })
  hub.take('self', { kind: 'join', user: 'alice', receiving: undefined, runs: [], watched: [] })
  hub.take('other', { kind: 'join', user: 'alice', receiving: undefined, runs: [[entryKey(position), undefined]], watched: [] })
  hub.take('other', { kind: 'ended', key: entryKey(position), outcome: 'stop' })
  hub.take('other', { kind: 'event', event: { kind: 'receive', ...receiving } })
  hub.handle({ kind: 'handle', run: 1, entry: { position } as Entry, redelivered: true, attempt: 1 })
  expect(said.at(-1)?.kind).toBe('handle')
  expect(events.at(-1)?.kind).toBe('receive')
})

it('stops the machine with the last tab that a handler stops which the machine does not know of yet', () => {
  const { hub, asked } = makeHub()
  hub.notice({ kind: 'user', user: 'alice' })
  hub.take('self', { kind: 'join', user: 'alice', receiving: undefined, runs: [], watched: [] })
  hub.take('other', { kind: 'join', user: 'alice', receiving, runs: [[entryKey(position), undefined]], watched: [] })
  hub.take('other', { kind: 'ended', key: entryKey(position), outcome: 'stop' })
  expect(asked).toEqual(['stopReceiving'])
})

it('hands nothing over in a lane of which a handler runs that was called for the leader before [I3]', () => {
  const { hub, said } = makeHub()
  hub.notice({ kind: 'user', user: 'alice' })
  const later = entryKey({ ...position, seq: 2 })
  const handed = (): number[] => said.flatMap((body) => (body.kind === 'handle' ? [body.entry.position.seq] : []))
  hub.take('self', { kind: 'join', user: 'alice', receiving, runs: [], watched: [] })
  hub.take('other', { kind: 'join', user: 'alice', receiving, runs: [[later, undefined]], watched: [] })
  hub.handle({ kind: 'handle', run: 1, entry: { position } as Entry, redelivered: true, attempt: 1 })
  expect(handed()).toEqual([])
  hub.take('other', { kind: 'ended', key: later, outcome: 'done' })
  expect(handed()).toEqual([1])
})

it('keeps how a handler ended that told so before it was known whose the store is, though its tab is gone by then', () => {
  const { hub, events, gone } = makeHub()
  hub.take('self', { kind: 'join', user: 'alice', receiving, runs: [], watched: [] })
  hub.take('other', { kind: 'join', user: 'alice', receiving, runs: [[entryKey(position), undefined]], watched: [] })
  hub.take('other', { kind: 'ended', key: entryKey(position), outcome: 'done' })
  gone.get('other')?.()
  hub.notice({ kind: 'user', user: 'alice' })
  hub.handle({ kind: 'handle', run: 1, entry: { position } as Entry, redelivered: true, attempt: 1 })
  expect(events.at(-1)).toEqual({ kind: 'handlerDone', run: 1 })
})
