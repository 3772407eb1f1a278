import { describe, expect, it } from 'vitest'
import type { ConnectionState, Posthaste } from '@posthaste/client'
import { storeName, watchConnection } from '../../src/cli/device.ts'
import { Output } from '../../src/cli/output.ts'
import { fakeIo } from './fake-io.ts'

describe('the note that there is no connection', () => {
  it.each([
    ['connect ECONNREFUSED', 'Nobody answers. The reason: connect ECONNREFUSED. Trying again until it works.'],
    [undefined, 'Nobody answers. Trying again until it works.'],
  ])('says why where that is known (%s), once until there is one', (cause, text) => {
    const io = fakeIo({ env: { NO_COLOR: '1' } })
    let tell = (_state: ConnectionState): void => {}
    const on = ((event: string, observer: typeof tell) => {
      if (event === 'connection') tell = observer
      return () => {}
    }) as Posthaste['on']
    watchConnection({ client: { on }, transport: { cause } }, { output: new Output(io, false) }, 'ws://x')
    const fault = { code: 'connection-lost', message: 'Nobody answers.', retryable: true }
    const waiting = { status: 'waiting', fault } as ConnectionState
    for (const state of [waiting, waiting, { status: 'live' } as ConnectionState]) tell(state)
    expect(io.told()).toBe(`No connection to ws://x: ${text}\nConnected to ws://x.\n`)
  })
})

describe('the default store', () => {
  it('is named by user and command', () => {
    expect(storeName(undefined, 'bob', 'send')).toBe('bob-send')
    expect(storeName('ws://chat.example:7400', 'bob', 'listen')).toBe('at/chat.example_7400/bob-listen')
  })

  it('is the same however the address of a server is written that needs no path', () => {
    const names = ['ws://a:1', 'ws://a:1/', 'http://a:1', 'ws://a:1/v1/connect'].map((url) => storeName(url, 'bob', 'send'))
    expect(new Set(names)).toEqual(new Set(['at/a_1/bob-send']))
  })

  it('is another one for each server, user and command, on file systems that ignore case too', () => {
    const urls = [
      ...[undefined, 'ws://a:1', 'ws://a:2', 'ws://b-send', 'ws://[::1]:1', 'ws://[::1]:2', 'ws://a_1', 'wss://a:1'],
      ...['ws://a:1/x/v1/connect', 'ws://a:1/y/v1/connect', 'ws://a:1/?z', 'ws://a', 'wss://a', 'https://a'],
    ]
    const users = [
      'bob',
      'Bob',
      'BOB',
      'b/o/b',
      'b_o_b',
      'bob-send',
      'at',
      'böb',
      '../bob',
      '...',
      'x'.repeat(128),
      `${'x'.repeat(127)}y`,
      '😀'.repeat(32),
    ]
    const names = urls.flatMap((url) =>
      users.flatMap((user) => ['send', 'listen'].map((command) => storeName(url, user, command))),
    )
    expect(new Set(names.map((name) => name.toLowerCase())).size).toBe(names.length)
    for (const name of names) {
      expect(name).toMatch(/^(at\/[\w.~-]+\/)?[\w.~-]+$/)
      for (const part of name.split('/')) expect(part.length).toBeLessThan(128)
      expect(name.split('/')).not.toContain('..')
    }
  })
})
