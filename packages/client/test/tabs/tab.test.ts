import { describe, expect, it } from 'vitest'
import type { HandleEffect, OwnEngine } from '../../src/engine.ts'
import { PosthasteError } from '../../src/errors.ts'
import type { Fault, Notice } from '../../src/machine/events.ts'
import type { Envelope, ToTab } from '../../src/tabs/messages.ts'
import type { TabPort } from '../../src/tabs/port.ts'
import { Tab } from '../../src/tabs/tab.ts'
import { type Clock, systemClock, systemRandom } from '../../src/ports.ts'

const lock = 'posthaste/store'
const entryFields = {
  sender: 300,
  senderName: 'alice',
  count: 1,
  toKind: 0,
  to: 'bob',
  type: 0,
  priority: 8,
  timeMs: 1,
  deadlineMs: 2_000_000,
  receipts: true,
  body: new Uint8Array(0),
} as const

/** A browser in which a test grants the locks and speaks for the other tabs. */
class HandMadePort implements TabPort {
  readonly id = 'own'
  readonly clock: Clock
  readonly random = systemRandom()
  readonly posted: Envelope[] = []
  readonly wanted = new Map<string, () => void>()
  /** Locks that other tabs hold. */
  readonly others: string[] = []
  /** Refuses the lock that was last asked for. */
  refuse: (cause: unknown) => void = () => expect.fail('no lock is asked for')
  changePage: (change: 'shown' | 'cached') => void = () => expect.fail('nobody watches the page')
  #heard: ((envelope: Envelope) => void) | undefined

  constructor(clock: Clock) {
    this.clock = { ...clock, wallMs: () => 1_000_000 }
  }

  get isListening(): boolean {
    return this.#heard !== undefined
  }

  listen(heard: (envelope: Envelope) => void): void {
    this.#heard = heard
  }

  post(envelope: Envelope): void {
    this.posted.push(envelope)
  }

  hold(name: string, held: (letGo: () => void) => void, refused: (cause: unknown) => void): void {
    this.wanted.set(name, () => held(() => {}))
    this.refuse = refused
  }

  listHeld(answer: (locks: readonly string[]) => void): void {
    answer([`${lock}/tab/own`, ...this.others])
  }

  watchPage(changed: (change: 'shown' | 'cached') => void): void {
    this.changePage = changed
  }

  leave(): void {}

  grant(name: string): void {
    this.wanted.get(name)?.()
  }

  /** Another tab says something, or has said it so long ago. */
  say(from: string, to: string, body: ToTab, agoMs = 0): void {
    this.#heard?.({ from, to, sentMs: this.clock.wallMs() - agoMs, body })
  }

  joined(leader: string): boolean {
    return this.posted.some(({ to, body }) => to === leader && body.kind === 'join')
  }
}

const engine: OwnEngine = {
  connection: { status: 'idle' },
  dispatch: () => {},
  ask: () => () => {},
  errorOf: (fault) => new PosthasteError(fault),
  helped: (error) => error,
  close: (closed) => closed(),
  identify: (told) => told('alice'),
}

/** A tab that has begun, and what its app is told. */
function openTab(
  fields: Partial<OwnEngine> = {},
  clock = systemClock,
): { readonly tab: Tab; readonly port: HandMadePort; readonly told: Notice[]; readonly handled: bigint[] } {
  const port = new HandMadePort(clock)
  const told: Notice[] = []
  const handled: bigint[] = []
  const owner = {
    notice: (notice: Notice) => told.push(notice),
    handle: ({ entry }: HandleEffect) => handled.push(entry.id),
    stopReceiving: () => {},
    restarted: () => {},
  }
  const tab = new Tab(lock, port, owner, () => ({ ...engine, ...fields }))
  tab.dispatch({ kind: 'start' })
  return { tab, port, told, handled }
}

/** A clock whose timers fire when a test calls them. */
function heldClock(): { readonly clock: Clock; readonly timers: [() => void, number][] } {
  const timers: [() => void, number][] = []
  const clock: Clock = {
    ...systemClock,
    setTimer: (fire, delayMs) => {
      timers.push([fire, delayMs])
      return () => timers.splice(0)
    },
  }
  return { clock, timers }
}

describe('a tab that joins another one', () => {
  /** A tab with such an engine, that has heard of a leader. */
  function follower(fields: Partial<OwnEngine>, clock?: Clock): ReturnType<typeof openTab> {
    const opened = openTab(fields, clock)
    opened.port.grant(`${lock}/tab/own`)
    opened.port.others.push(`${lock}/tab/first`, `${lock}/tab/second`)
    opened.port.say('first', '', { kind: 'lead' })
    return opened
  }
  const joins = ({ posted }: HandMadePort): unknown[] =>
    posted.flatMap(({ to, body }) => (body.kind === 'join' ? [[to, body.user]] : []))

  it('says whose it is, which it asks once, and only the leader of the moment', () => {
    const told: ((user: string) => void)[] = []
    const { port } = follower({ identify: (tell) => told.push(tell) })
    port.say('second', '', { kind: 'lead' })
    expect([told.length, joins(port)]).toEqual([1, []])
    told[0]?.('alice')
    expect(joins(port)).toEqual([['second', 'alice']])
    port.say('first', '', { kind: 'lead' })
    expect([told.length, joins(port).at(-1)]).toEqual([1, ['first', 'alice']])
  })

  it('ends when its token is refused for good', () => {
    const fault = { code: 'token-refused', message: 'signed out', retryable: false }
    const { port, tab, told } = follower({ identify: (tell) => tell('', fault) })
    expect([tab.connection, told.at(-1)]).toMatchObject([{ status: 'ended', fault }, { kind: 'connection' }])
    expect(joins(port)).toEqual([])
  })

  describe('whose token function does not answer for 3 seconds', () => {
    /** A tab that has joined without knowing whose it is, and what its token function answers at last. */
    function trusted(): ReturnType<typeof openTab> & { readonly tell: (user: string, refusal?: Fault) => void } {
      const { clock, timers } = heldClock()
      const told: ((user: string, refusal?: Fault) => void)[] = []
      const opened = follower({ identify: (tell) => told.push(tell) }, clock)
      expect([timers[0]?.[1], joins(opened.port)]).toEqual([3_000, []])
      timers[0]?.[0]()
      expect(joins(opened.port)).toEqual([['first', '']])
      return { ...opened, tell: (user, refusal) => told[0]?.(user, refusal) }
    }

    it('says whose it is when that is known: it may be of another user [I9]', () => {
      const { port, tell } = trusted()
      tell('mallory')
      expect(port.posted.at(-1)).toMatchObject({ to: 'first', body: { kind: 'user', user: 'mallory' } })
      port.say('second', '', { kind: 'lead' })
      expect(joins(port).at(-1)).toEqual(['second', 'mallory'])
    })

    it('ends when its token is refused for good', () => {
      const { tab, tell } = trusted()
      const fault = { code: 'token-refused', message: 'signed out', retryable: false }
      tell('', fault)
      expect(tab.connection).toEqual({ status: 'ended', fault })
    })

    it('stays closed, if it was closed by then', () => {
      const { tab, tell } = trusted()
      tab.close(
        () => {},
        () => {},
      )
      tell('', { code: 'token-refused', message: 'signed out', retryable: false })
      expect(tab.connection).toMatchObject({ status: 'ended', fault: { code: 'closed' } })
    })
  })

  it('has the leader hurry once the user comes to its page', () => {
    const { port } = follower({})
    port.changePage('cached')
    expect(port.posted.at(-1)?.body.kind).toBe('join')
    port.changePage('shown')
    expect(port.posted.at(-1)).toMatchObject({ to: 'first', body: { kind: 'event', event: { kind: 'wake' } } })
  })

  it.each([false, true])('ends a leader in the back/forward cache, which hears nothing, unless it was closed: %s', (isClosed) => {
    const { clock, timers } = heldClock()
    const { port, tab } = follower({}, clock)
    timers.length = 0
    port.say('first', '', { kind: 'cached' })
    const before = port.posted.length
    if (isClosed)
      tab.close(
        () => {},
        () => {},
      )
    for (const [fire, delayMs] of timers) {
      expect([delayMs, port.posted.length - before]).toEqual([1_000, isClosed ? 1 : 0])
      fire()
    }
    expect(port.posted.at(-1)?.body.kind).toBe(isClosed ? 'leave' : 'hello')
  })

  describe('whose leader answers nothing', () => {
    const live = { status: 'live', user: 'alice', bodyBytesMax: 1 } as const
    const silent = { status: 'waiting', fault: { code: 'connection-lost', retryable: true } }
    /** A tab that waits for an answer, and the timers that run next. */
    function waiting(): ReturnType<typeof openTab> & { readonly pass: (ms: number) => void; readonly hellos: () => number } {
      const timers: [() => void, number][] = []
      const setTimer = (fire: () => void, delayMs: number): (() => void) => {
        timers.push([fire, delayMs])
        return () => timers.splice(0)
      }
      const opened = follower({}, { ...systemClock, setTimer })
      timers.length = 0
      opened.port.say('first', 'own', { kind: 'welcome', connection: live })
      opened.tab.ask({ kind: 'pending' }, () => {})
      opened.tab.ask({ kind: 'groups' }, () => {})
      const pass = (ms: number): void => {
        const [fire, delayMs] = timers.shift() ?? expect.fail('no timer')
        expect([delayMs, timers]).toEqual([ms, []])
        fire()
      }
      const hellos = (): number => opened.port.posted.filter(({ to, body }) => to === 'first' && body.kind === 'hello').length
      return { ...opened, pass, hellos }
    }

    it('shows that it waits for it, until something is heard', () => {
      const { tab, port, pass, hellos } = waiting()
      pass(5_000)
      expect([hellos(), tab.connection]).toEqual([1, live])
      pass(3_000)
      expect(tab.connection).toMatchObject(silent)
      port.say('first', '', { kind: 'lead' })
      expect(tab.connection).toEqual(live)
    })

    it('shows what a new leader says', () => {
      const { tab, port, pass } = waiting()
      pass(5_000)
      pass(3_000)
      port.say('second', '', { kind: 'lead' })
      expect(tab.connection).toMatchObject(silent)
      const connecting = { status: 'connecting', attempt: 1 } as const
      port.say('second', 'own', { kind: 'welcome', connection: connecting })
      expect(tab.connection).toEqual(connecting)
    })

    it('goes on when that shows that it lives', () => {
      const { tab, port, pass, told } = waiting()
      pass(5_000)
      port.say('first', '', { kind: 'lead' })
      pass(3_000)
      expect([tab.connection, told.length]).toEqual([live, 1])
    })

    it('asks for no sign of life once all is answered', () => {
      const { port, pass, hellos } = waiting()
      for (const call of [1, 2]) port.say('first', 'own', { kind: 'answer', call, answer: { kind: 'done' } })
      pass(5_000)
      expect(hellos()).toBe(0)
    })

    it('says and shows nothing once it is closed', () => {
      for (const at of [5_000, 3_000]) {
        const { tab, port, pass } = waiting()
        if (at === 3_000) pass(5_000)
        tab.close(
          () => {},
          () => {},
        )
        const before = port.posted.length
        pass(at)
        expect([port.posted.length, tab.connection]).toMatchObject([before, { status: 'ended', fault: { code: 'closed' } }])
      }
    })
  })

  it('asks nobody when it leads itself by the time that it knows', () => {
    const told: ((user: string) => void)[] = []
    const { port } = follower({ identify: (tell) => told.push(tell) })
    port.grant(lock)
    told[0]?.('alice')
    expect(joins(port)).toEqual([])
  })
})

describe('a tab', () => {
  it('neither hears nor says anything before it holds the lock by which others see that it lives', () => {
    const { port } = openTab()
    expect(port.isListening).toBe(false)
    port.grant(`${lock}/tab/own`)
    expect(port.isListening).toBe(true)
    expect(port.posted).toEqual([{ from: 'own', to: '', sentMs: 1_000_000, body: { kind: 'hello' } }])
  })

  it('tells that tabs cannot share a connection where a page may have no locks, and runs a client of its own', () => {
    const events: string[] = []
    const { tab, port, told } = openTab({
      dispatch: ({ kind }) => events.push(kind),
      connection: { status: 'connecting', attempt: 1 },
    })
    port.refuse(new DOMException('no locks here', 'SecurityError'))
    expect(told[0]).toEqual({
      kind: 'error',
      fault: {
        code: 'not-allowed',
        message: 'Tabs cannot share a connection here: SecurityError: no locks here',
        retryable: false,
      },
    })
    expect([events[0], tab.connection.status]).toEqual(['start', 'connecting'])
  })

  it('does not follow a leader that it hears of after its successor, and that holds no lock any more', () => {
    const { port } = openTab()
    port.grant(`${lock}/tab/own`)
    port.others.push(`${lock}/tab/second`)
    port.say('second', '', { kind: 'lead' })
    port.say('first', '', { kind: 'lead' })
    expect(port.joined('second')).toBe(true)
    expect(port.joined('first')).toBe(false)
    port.others.push(`${lock}/tab/third`)
    port.say('third', '', { kind: 'lead' })
    expect(port.joined('third')).toBe(true)
  })

  it('that leads tells the others when its page goes into the back/forward cache, and nothing when it is shown', () => {
    const { port } = openTab()
    port.grant(`${lock}/tab/own`)
    port.grant(lock)
    const before = port.posted.length
    port.changePage('shown')
    port.changePage('cached')
    expect(port.posted.slice(before)).toMatchObject([{ to: '', body: { kind: 'cached' } }])
  })

  it('receives on from a new leader, which is asked again to stop what ran before [I1]', () => {
    const { tab, port } = openTab()
    port.grant(`${lock}/tab/own`)
    port.others.push(`${lock}/tab/first`, `${lock}/tab/second`)
    port.say('first', '', { kind: 'lead' })
    const receive = { kind: 'receive', positions: [], isBatched: false } as const
    tab.dispatch(receive)
    tab.ask({ kind: 'stopReceiving' }, () => {})
    tab.dispatch(receive)
    port.say('second', '', { kind: 'lead' })
    expect(port.posted.flatMap(({ to, body }) => (to === 'second' ? [body] : []))).toEqual([
      { kind: 'join', user: 'alice', receiving: undefined, runs: [], watched: [] },
      { kind: 'ask', call: 1, ask: { kind: 'stopReceiving' } },
      { kind: 'event', event: receive },
    ])
  })

  const handle = (id: bigint): ToTab => {
    const position = { epoch: 1, log: 100, lane: 8, seq: Number(id) }
    const entry = { ...entryFields, position, id }
    return { kind: 'handle', key: `${id}`, run: Number(id), entry, redelivered: false, attempt: 1 }
  }

  it('that was frozen handles nothing when it is closed before it knows whether its leader lives: another one has it by then [I2] [I3]', () => {
    const { tab, port, handled } = openTab()
    port.grant(`${lock}/tab/own`)
    port.others.push(`${lock}/tab/first`)
    port.say('first', '', { kind: 'lead' })
    tab.dispatch({ kind: 'receive', positions: [], isBatched: false })
    const answers: (() => void)[] = []
    const { listHeld } = port
    port.listHeld = (answer) => answers.push(() => listHeld.call(port, answer))
    port.say('first', 'own', handle(1n), 60_000)
    tab.close(
      () => {},
      () => {},
    )
    for (const answer of answers) answer()
    expect([answers.length, handled]).toEqual([1, []])
  })

  it('that was frozen handles nothing of a leader that has died meanwhile, whose successor may have had it handled [I2]', () => {
    const { tab, port, handled } = openTab()
    port.grant(`${lock}/tab/own`)
    port.others.push(`${lock}/tab/first`)
    port.say('first', '', { kind: 'lead' })
    tab.dispatch({ kind: 'receive', positions: [], isBatched: false })
    port.say('first', 'own', handle(1n))
    port.say('first', 'own', handle(2n), 60_000)
    expect(handled).toEqual([1n, 2n])
    port.others.length = 0
    port.say('first', 'own', handle(3n), 60_000)
    port.say('first', 'own', handle(4n), -60_000)
    expect(handled).toEqual([1n, 2n])
  })

  it('tells that nobody knows who is there and who types, when the leader that told of it is gone', () => {
    const { tab, port, told } = openTab()
    port.grant(`${lock}/tab/own`)
    port.others.push(`${lock}/tab/first`, `${lock}/tab/second`)
    tab.dispatch({ kind: 'watch', users: ['bob'], isOn: true })
    port.say('first', '', { kind: 'lead' })
    const typing = { kind: 'typing', user: 'bob', toKind: 0, to: 'alice', isActive: true } as const
    const stopped = { ...typing, user: 'carol' }
    for (const notice of [typing, stopped, { ...stopped, isActive: false }]) port.say('first', 'own', { kind: 'notice', notice })
    told.length = 0
    port.say('second', '', { kind: 'lead' })
    expect(told).toEqual([
      { kind: 'presence', user: 'bob', state: 'unknown', lastSeenMs: 0 },
      { ...typing, isActive: false },
    ])
  })
})
