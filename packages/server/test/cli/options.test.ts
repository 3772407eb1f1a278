import { describe, expect, it } from 'vitest'
import {
  formatAddress,
  formatDuration,
  parseAddress,
  parseChoice,
  parseDuration,
  parseExpiry,
  parseId,
  parsePort,
  parsePriority,
  parseRoles,
  parseType,
  parseUrl,
} from '../../src/cli/options.ts'
import { printable } from '../../src/cli/printable.ts'

/** What a parser says to a text that it refuses. */
function refusal(parse: () => unknown): string {
  try {
    parse()
  } catch (error) {
    if (!(error instanceof Error)) throw error
    const { code, hint } = error as Error & { code?: string; hint?: string }
    expect(code).toBe('usage')
    return `${error.message} ${hint ?? ''}`
  }
  throw new Error('it was not refused')
}

describe('a length of time', () => {
  it.each([
    ['0', 0],
    ['90', 90],
    ['60s', 60],
    ['10m', 600],
    ['12h', 43_200],
    ['7d', 604_800],
    ['30d', 2_592_000],
  ])('%s is %d seconds', (text, seconds) => {
    expect(parseExpiry(text, '--expiry')).toBe(seconds)
  })

  it.each(['', 's', '1.5h', '1 h', '7D', '1w', '0x10', '1e3', 'ten', '--5'])(
    '%j is refused with the forms that are allowed',
    (text) => {
      expect(refusal(() => parseExpiry(text, '--expiry'))).toMatch(/^--expiry .* 60s, 10m, 12h or 7d; 0 to 30d is allowed/)
    },
  )

  it.each(['-1', '-5m', '31d', '2592001', '721h'])('%s is refused with the range', (text) => {
    expect(refusal(() => parseExpiry(text, '--expiry'))).toContain(`--expiry is ${text}, 0 to 30d is allowed`)
  })

  it('keeps to the bounds that it is given', () => {
    expect(parseDuration('1s', '--ttl', { min: 1, max: 60 })).toBe(1)
    expect(refusal(() => parseDuration('0', '--ttl', { min: 1, max: 60 }))).toContain('1s to 1m is allowed')
  })

  it('is written in its largest whole unit', () => {
    expect([0, 1, 60, 90, 3_600, 86_400, 2_592_000].map(formatDuration)).toEqual(['0', '1s', '1m', '90s', '1h', '1d', '30d'])
  })
})

describe('an address', () => {
  it.each([
    ['bob', { user: 'bob' }],
    ['user:bob', { user: 'bob' }],
    ['group:team', { group: 'team' }],
    ['user:group:team', { user: 'group:team' }],
    ['group:a:b', { group: 'a:b' }],
    ['Zoë/1', { user: 'Zoë/1' }],
  ])('%s is %j', (text, address) => {
    expect(parseAddress(text, '--to')).toEqual(address)
    expect(parseAddress(formatAddress(address), '--to')).toEqual(address)
  })

  it.each([
    ['', 'empty'],
    ['user:', 'empty'],
    ['group:', 'empty'],
    ['.', "'.' and '..'"],
    ['group:..', "'.' and '..'"],
    ['a\u0007b', 'control characters'],
    ['\ud800', 'Unicode'],
    ['x'.repeat(129), '1 to 128'],
    ['é'.repeat(65), '1 to 128'],
    ['gruop:team', 'user:gruop:team'],
  ])('%j is refused, saying %j', (text, reason) => {
    const said = refusal(() => parseAddress(text, '--to'))
    expect(said).toMatch(/^--to/)
    expect(said).toContain(reason)
    expect(said).not.toContain('\u0007')
  })
})

describe('numbers', () => {
  it('an id is any from 1 to 2^64 - 1, exactly', () => {
    expect(parseId('1', '--id')).toBe(1n)
    expect(parseId('18446744073709551615', '--id')).toBe(18_446_744_073_709_551_615n)
    expect(parseId('9007199254740993', '--id')).toBe(9_007_199_254_740_993n)
  })

  it.each(['0', '18446744073709551616', '-1', '1.0', '1e3', '', 'x', '0x1', '9'.repeat(50)])(
    'the id %j is refused with the range',
    (text) => {
      expect(refusal(() => parseId(text, '--id'))).toContain('a whole number from 1 to 18446744073709551615 is allowed')
    },
  )

  it.each([
    ['priority', parsePriority, '15', '16', '0 to 15'],
    ['priority', parsePriority, '0', '-1', '0 to 15'],
    ['type', parseType, '4294967295', '4294967296', '0 to 4294967295'],
    ['port', parsePort, '65535', '65536', '0 to 65535'],
  ] as const)('a %s has its range', (name, parse, inside, outside, range) => {
    expect(parse(inside, `--${name}`)).toBe(Number(inside))
    expect(refusal(() => parse(outside, `--${name}`))).toContain(
      `--${name} is ${outside}, a whole number from ${range} is allowed`,
    )
    expect(refusal(() => parse('1.5', `--${name}`))).toContain(range)
  })
})

describe('words', () => {
  it('a choice is one of its words, or the words are named', () => {
    expect(parseChoice('read', '--wait', ['sent', 'read'])).toBe('read')
    expect(refusal(() => parseChoice('seen', '--wait', ['sent', 'read']))).toContain('sent, read')
  })

  it('roles are a list without repeats', () => {
    expect(parseRoles('send, receive,send', '--roles')).toEqual(['send', 'receive'])
    expect(refusal(() => parseRoles('send,owner', '--roles'))).toContain('send, receive, admin')
    expect(refusal(() => parseRoles('', '--roles'))).toContain('send, receive, admin')
  })

  it('a URL has one of the schemes, and no password', () => {
    expect(parseUrl('ws://localhost:7400/', '--url', ['ws:'])).toBe('ws://localhost:7400')
    expect(refusal(() => parseUrl('localhost:7400', '--url', ['ws:', 'wss:']))).toContain('ws://HOST:PORT or wss://HOST:PORT')
    expect(refusal(() => parseUrl('ws://a:b@localhost', '--url', ['ws:']))).toContain('--url')
  })

  it('what a terminal would obey is escaped', () => {
    expect(printable('a\u001b[2Jb\r\n\u202ec\td é😀')).toBe('a\\u001b[2Jb\\u000d\\u000a\\u202ec\td é😀')
  })
})
