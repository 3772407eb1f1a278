import { describe, expect, it } from 'vitest'
import type { FlagSpec } from '../../src/cli/flag-spec.ts'
import { parseLine } from '../../src/cli/flags.ts'
import { closestTo } from '../../src/cli/suggestion.ts'

const flags: Record<string, FlagSpec> = {
  to: { kind: 'text', placeholder: 'ADDRESS', text: '' },
  priority: { kind: 'text', text: '', env: 'POSTHASTE_PRIORITY', fallback: '8' },
  realtime: { kind: 'switch', text: '', env: 'POSTHASTE_REALTIME' },
  'no-receipts': { kind: 'switch', text: '' },
}

const parse = (argv: string[], env: Record<string, string> = {}) => parseLine({ name: 'send', flags }, argv, env)

describe('a command line', () => {
  it('is flags and words in any order', () => {
    const { flags: values, words } = parse(['a', '--to', 'bob', 'b', '--realtime', '--priority=3', '--', '--c'])
    expect(words).toEqual(['a', 'b', '--c'])
    expect([values.text('to'), values.text('priority'), values.isOn('realtime'), values.isOn('no-receipts')]).toEqual([
      'bob',
      '3',
      true,
      false,
    ])
  })

  it('goes before the environment, which goes before the fallback', () => {
    expect(parse(['--priority', '1'], { POSTHASTE_PRIORITY: '2' }).flags.text('priority')).toBe('1')
    expect(parse([], { POSTHASTE_PRIORITY: '2' }).flags.text('priority')).toBe('2')
    expect(parse([], { POSTHASTE_PRIORITY: '' }).flags.text('priority')).toBe('8')
    expect(parse([], { POSTHASTE_REALTIME: 'true' }).flags.isOn('realtime')).toBe(true)
    expect(parse([], { POSTHASTE_REALTIME: '0' }).flags.isOn('realtime')).toBe(false)
  })

  it('names the variable that an ill-formed value came from', () => {
    const fields: string[] = []
    parse([], { POSTHASTE_PRIORITY: '2' }).flags.parsed('priority', (_text, field) => fields.push(field))
    parse(['--priority', '2'], { POSTHASTE_PRIORITY: '3' }).flags.parsed('priority', (_text, field) => fields.push(field))
    expect(fields).toEqual(['POSTHASTE_PRIORITY', '--priority'])
  })

  it.each([
    [['--pririty', '3'], '--pririty is not a flag of send', 'Did you mean --priority?'],
    [['--prio', '3'], '--prio is not a flag of send', 'Did you mean --priority?'],
    [['--constructor'], '--constructor is not a flag of send', '--help'],
    [['--xyzzy'], '--xyzzy is not a flag of send', '`posthaste send --help` lists all'],
    [['-q'], '-q is not a flag of send', '--help'],
    [['--to'], '--to needs a value', '--to=ADDRESS'],
    [['--to', '--realtime'], '--to needs a value', '--to=ADDRESS'],
    [['--realtime=yes'], '--realtime takes no value', ''],
    [['--to', 'a', '--to', 'b'], '--to is given more than once', ''],
  ])('%j is refused', (argv, message, hint) => {
    try {
      parse(argv)
      expect.unreachable()
    } catch (error) {
      expect(error).toMatchObject({ code: 'usage', message })
      expect((error as { hint?: string }).hint ?? '').toContain(hint)
    }
  })

  it('lets a negative number and a value behind = through to their own checks', () => {
    expect(parse(['--priority', '-1']).flags.text('priority')).toBe('-1')
    expect(parse(['--to=--odd']).flags.text('to')).toBe('--odd')
  })

  it('tells which flag is missing', () => {
    expect(() => parse([]).flags.required('to')).toThrow('--to is missing')
  })
})

describe('a suggestion', () => {
  it('is the closest name, if it is close', () => {
    expect(closestTo('lisen', ['send', 'listen'])).toBe('listen')
    expect(closestTo('snd', ['send', 'listen'])).toBe('send')
    expect(closestTo('frobnicate', ['send', 'listen'])).toBeUndefined()
    expect(closestTo('', ['send'])).toBeUndefined()
  })
})
