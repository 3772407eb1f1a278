import { expect, it } from 'vitest'
import type { Engine, EngineEvent } from '../../src/engine.ts'
import type { Entry } from '../../src/machine/events.ts'
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
} {
  const events: EngineEvent[] = []
  const said: ToTab[] = []
  const gone = new Map<string, () => void>()
  const engine: Engine = {
    connection: { status: 'idle' },
    dispatch: (event) => events.push(event),
    ask: () => () => {},
    errorOf: (fault) => new PosthasteError(fault),
    close: () => {},
  }
  const port: HubPort = {
    self: 'self',
    send: (_tab, body) => said.push(body),
    watch: (tab, call) => gone.set(tab, call),
    retire: () => {},
  }
  return { hub: new Hub(port, engine, ['other']), events, said, gone }
}

it('keeps how a handler ended whose tab is gone since: its message is not handed to another tab', () => {
  const { hub, events, said, gone } = makeHub()
  hub.take('self', { kind: 'join', receiving, runs: [], watched: [] })
  hub.take('other', { kind: 'join', receiving, runs: [[entryKey(position), 'done']], watched: [] })
  gone.get('other')?.()
  hub.handle({ kind: 'handle', run: 1, entry: { position } as Entry, redelivered: true, attempt: 1 })
  expect(said.filter(({ kind }) => kind === 'handle')).toEqual([])
  expect(events.at(-1)).toEqual({ kind: 'handlerDone', run: 1 })
})

it('lets a tab stop receiving whose handlers have all ended, those before the leader came too', () => {
  const { hub, said } = makeHub()
  hub.take('self', { kind: 'join', receiving, runs: [], watched: [] })
  hub.take('other', { kind: 'join', receiving, runs: [[entryKey(position), 'done']], watched: [] })
  hub.take('other', { kind: 'ask', call: 1, ask: { kind: 'stopReceiving' } })
  expect(said.at(-1)).toEqual({ kind: 'answer', call: 1, answer: { kind: 'done' } })
})
