import { execFileSync } from 'node:child_process'
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadOrCreateSecret, TokenVerifier } from '../../src/auth/index.ts'
import { commands } from '../../src/cli/commands.ts'
import { runCommandLine } from '../../src/cli/dispatch.ts'
import { exitCodeOf, exitCodes } from '../../src/cli/exit-codes.ts'
import { commonFlags, type FlagSpec } from '../../src/cli/flag-spec.ts'
import { readKeyFile } from '../../src/cli/home.ts'
import { fakeIo } from './fake-io.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'posthaste-cli-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

async function run(argv: string[], options: Parameters<typeof fakeIo>[0] = {}) {
  const io = fakeIo({ directory, ...options })
  const code = await runCommandLine(argv, io)
  return { code, printed: io.printed(), told: io.told() }
}

describe('help', () => {
  it('of the program lists every command and every exit code', async () => {
    const { code, printed } = await run(['--help'])
    expect(code).toBe(0)
    for (const { name } of commands) expect(printed).toMatch(new RegExp(`^  ${name} `, 'm'))
    for (const { number, name } of exitCodes) expect(printed).toMatch(new RegExp(`^ +${number}  ${name} `, 'm'))
  })

  it.each(commands.map(({ name }) => name))('of %s names each of its flags, whatever else is on the line', async (name) => {
    const command = await commands.find((entry) => entry.name === name)?.load()
    const { code, printed } = await run([name, '--nonsense', '--help'])
    expect(code).toBe(0)
    for (const flag of Object.keys({ ...command?.flags, ...commonFlags })) expect(printed).toContain(`--${flag}`)
    for (const usage of command?.usage ?? []) expect(printed).toContain(`posthaste ${usage}`)
  })

  it('names commands as the list does', async () => {
    for (const entry of commands) {
      const command = await entry.load()
      expect([command.name, command.summary]).toEqual([entry.name, entry.summary])
    }
  })

  it('is printed to standard error, with the code of a usage error, when nothing was asked for', async () => {
    const { code, printed, told } = await run([])
    expect([code, printed]).toEqual([2, ''])
    expect(told).toContain('posthaste dev')
  })

  it('is JSON with --json', async () => {
    for (const argv of [
      ['--help', '--json'],
      ['help', 'send', '--json'],
      ['send', '--help', '--json'],
    ]) {
      const { code, printed, told } = await run(argv)
      expect([code, told]).toEqual([0, ''])
      expect(JSON.parse(printed)).toEqual({ help: expect.stringContaining('Usage:') })
    }
  })
})

describe('docs/cli.md', () => {
  const text = readFileSync(new URL('../../../../docs/cli.md', import.meta.url), 'utf8')
  const sectionOf = (title: string) => text.split(/^## /m).find((part) => part.startsWith(title)) ?? ''
  const rowsOf = (section: string) => section.split('\n').filter((line) => /^\| [`\d]/.test(line))
  const quoted = (value: string | undefined) => (value === undefined ? '' : `\`${value}\``)

  it.each(commands.map(({ name }) => name))('has the flags of %s as --help has them', async (name) => {
    const command = await commands.find((entry) => entry.name === name)?.load()
    const rows = Object.entries<FlagSpec>(command?.flags ?? {}).map(([flag, { kind, placeholder, fallback, env, text }]) => {
      const form = `--${flag}${kind === 'text' ? ` ${placeholder}` : ''}`
      return `| \`${form}\` | ${quoted(fallback)} | ${quoted(env)} | ${text} |`
    })
    expect(rowsOf(sectionOf(`\`posthaste ${name}\``)).sort()).toEqual(rows.sort())
  })

  it('has the exit codes as --help has them', () => {
    expect(rowsOf(sectionOf('Exit codes'))).toEqual(
      exitCodes.map(({ number, name, text }) => `| ${number} | \`${name}\` | ${text} |`),
    )
  })
})

describe('exit codes', () => {
  it('are unique, and those of failed statuses are the numbers of the statuses', () => {
    expect(new Set(exitCodes.map(({ number }) => number)).size).toBe(exitCodes.length)
    expect(['expired', 'invalid-destination', 'conflict', 'unknown'].map((name) => exitCodeOf(name).number)).toEqual([
      3, 10, 16, 18,
    ])
  })

  it('have a number for what the server and the SDK say', () => {
    const names = ['token-revoked', 'store-locked', 'wrong-user', 'port-in-use', 'busy', 'secret-unsafe', 'something-new']
    expect(names.map((name) => exitCodeOf(name).number)).toEqual([5, 8, 8, 21, 4, 26, 1])
  })
})

describe('a line that is not valid', () => {
  it.each([
    [['lisen'], "'lisen' is not a command", 'posthaste listen'],
    [['hlep'], "'hlep' is not a command", 'posthaste help'],
    [['version'], "'version' is not a command", 'posthaste --version'],
    [['--json', 'status'], 'No command is named', 'posthaste COMMAND --json'],
    [['--data', 'x', 'status'], 'No command is named', 'posthaste COMMAND --data'],
    [['--verison'], "'--verison' is not a command", 'posthaste --version'],
    [['user', 'craete', 'bob'], "The first argument is 'craete', it must be one of", 'Did you mean create?'],
    [['send', '--to', 'bob', '--wait', 'delivred', 'hi'], "--wait is 'delivred'", 'Did you mean delivered?'],
    [['send', '--tp', 'bob'], '--tp is not a flag of send', '--to'],
    [['send', 'hi'], '--to is missing', 'ADDRESS'],
    [['send', '--to', '', 'hi'], "--to '' is no name of 1 to 128 bytes: it is empty", ''],
    [['send', '--to', 'user:', 'hi'], "--to '' is no name of 1 to 128 bytes: it is empty", ''],
    [['send', '--to', 'bob', '--priority', '16', 'hi'], '--priority is 16, a whole number from 0 to 15', ''],
    [['send', '--to', 'bob', '--priority', '-1', 'hi'], '--priority is -1, a whole number from 0 to 15', ''],
    [['send', '--to', 'bob', '--expiry', '-5s', 'hi'], '--expiry is -5s, 0 to 30d is allowed', ''],
    [['send', '--to', 'bob', '--expiry', '31d', 'hi'], '--expiry is 31d, 0 to 30d is allowed', ''],
    [['send', '--to', 'bob', '--id', '18446744073709551616', 'hi'], '--id is 18446744073709551616', ''],
    [['send', '--to', 'bob', '--id', '1'], '--id is for a single message', '--run'],
    [['send', '--to', 'bob', '--id', '1', '--run', 'x', 'hi'], '--id and --run exclude each other', ''],
    [['send', '--to', 'bob', '--type', '4294967296', 'hi'], '--type is 4294967296', ''],
    [['send', '--to', 'bob', '--wait', 'seen', 'hi'], "--wait is 'seen'", ''],
    [['send', '--to', 'bob', '--wait', 'read', '--no-receipts', 'hi'], '--wait read needs receipts', ''],
    [['send', '--to', 'bob', 'hello', 'world'], 'more than one TEXT', 'quotes'],
    [['send', '--to', 'bob', '--file', 'x', 'hi'], 'TEXT and --file exclude each other', ''],
    [['send', '--to', 'bob', '--file', '/no/such/file'], "--file can't be read", ''],
    [['send', '--to', 'bob', 'hi'], '--as or --token is missing', '--as alice'],
    [['send', '--to', 'bob', '--token', 'x.y.z', 'hi'], '--token is no JWT', 'posthaste token'],
    [['send', '--to', 'bob', '--as', 'a', '--url', 'localhost', 'hi'], "--url 'localhost' is no URL", ''],
    [['listen', 'bob'], "listen takes no 'bob'", '--as'],
    [['listen', '--as', 'bob', '--count', '0'], '--count is 0, a whole number from 1', ''],
    [['listen', '--as', 'bob', '--raw', '--out', 'x'], '--raw and --out exclude each other', ''],
    [['user', 'destroy', 'bob'], "'destroy'", ''],
    [['user', 'create'], 'NAME is missing', 'user create NAME'],
    [['user', 'create', '..'], "NAME '..' is no name of 1 to 128 bytes: '.' and '..' are not allowed", ''],
    [['user', 'block', 'bob'], 'OTHER is missing', ''],
    [['user', 'show', 'bob', 'x'], 'fewer arguments', ''],
    [['group', 'add', 'team'], 'USER is missing', ''],
    [['group', 'add', 'team', 'bob', '--roles', 'owner'], 'send, receive, admin', ''],
    [['group', 'show', 'team', '--roles', 'send'], '--roles is for group add', ''],
    [['token'], 'NAME is missing', ''],
    [['token', 'bob', '--ttl', '0'], '--ttl is 0, 1s to 365d is allowed', ''],
    [['status', '--from', 'alice', '--to', 'bob'], '--id is missing', ''],
    [['serve', '--port', '65536'], '--port is 65536, a whole number from 0 to 65535', ''],
    [['serve', '--restored', '--epoch', '1'], '--epoch is 1, a whole number from 2 to 8191', ''],
    [['serve', '--limits', 'bodyBytes=1,bodyBytes=2'], '--limits: bodyBytes is given more than once', ''],
    [['serve', '--limits', 'bodyBites=1'], "--limits: 'bodyBites' is no limit", ''],
    [['serve', '--epoch', '2'], '--epoch is for --restored', ''],
    [['serve', '--secret-file', ''], '--secret-file needs a value', ''],
    [['serve', '--audience='], '--audience needs a value', ''],
    [['listen', '--as', 'bob', '--exec', ''], '--exec needs a value', ''],
    [['send', '--to', 'bob', '--store', '', 'hi'], '--store needs a value', ''],
    [['serve', '--log-level', 'loud'], '--log-level', 'warn'],
    [['dev', 'now'], "dev takes no 'now'", ''],
  ])('%j ends with 2, names what is wrong, and leaves nothing behind', async (argv, message, hint) => {
    const { code, printed, told } = await run(argv)
    expect(told).toContain(message)
    expect(told).toContain(hint)
    expect([code, printed]).toEqual([2, ''])
    expect(existsSync(join(directory, '.posthaste'))).toBe(false)
  })

  it('is one that has a directory as its input', async () => {
    const descriptor = openSync(directory, 'r')
    const { code, printed, told } = await run(['send', '--to', 'bob', '--as', 'alice'], { inputDescriptor: descriptor })
    closeSync(descriptor)
    expect([code, printed, told]).toEqual([2, '', expect.stringContaining('Standard input is a directory')])
  })

  it('is told in JSON with --json', async () => {
    const { code, told } = await run(['send', '--json', '--to', 'bob', '--priority', '99', 'hi'])
    expect(code).toBe(2)
    expect(JSON.parse(told)).toMatchObject({ error: 'usage', message: expect.stringContaining('0 to 15') })
  })

  it('names the environment variable at fault', async () => {
    const { code, told } = await run(['serve'], { env: { POSTHASTE_PORT: 'http' } })
    expect(code).toBe(2)
    expect(told).toContain('POSTHASTE_PORT is http')
  })
})

describe('serve', () => {
  it.each(['--secret-file', '--admin-key-file'])('makes nothing by a name that was given with %s', async (flag) => {
    const { code, told } = await run(['serve', flag, 'mistaken'])
    expect([code, told]).toEqual([26, expect.stringContaining('mistaken')])
    expect(existsSync(join(directory, 'mistaken'))).toBe(false)
    const [, making = ''] = /^Make one with: (.*)$/m.exec(told) ?? []
    execFileSync('sh', ['-c', making])
    const made = join(directory, 'mistaken')
    expect([readKeyFile(made, 'key').length, loadOrCreateSecret(made).length]).toEqual([43, 32])
  })
})

describe('token', () => {
  const secret = Buffer.alloc(32, 7)

  it('signs with the secret of the state directory, and prints the token alone', async () => {
    const file = join(directory, 'key')
    writeFileSync(file, `${secret.toString('base64url')}\n`, { mode: 0o600 })
    const { code, printed } = await run(['token', 'bob', '--ttl', '10m', '--secret-file', 'key'])
    expect(code).toBe(0)
    const verifier = await TokenVerifier.create({ secrets: [secret], jwks: undefined, audience: undefined })
    const check = await verifier.verify(printed.trim())
    expect(check).toMatchObject({ isOk: true, user: 'bob' })
    if (check.isOk) expect(check.expiresAtMs - check.issuedAtMs).toBe(600_000)
  })

  it('makes no secret where there is none', async () => {
    const { code, told } = await run(['token', 'bob'])
    expect(code).toBe(26)
    expect(told).toContain(join(directory, '.posthaste', 'secret'))
    expect(existsSync(join(directory, '.posthaste'))).toBe(false)
  })

  it('refuses a secret that others can read', async () => {
    writeFileSync(join(directory, 'key'), secret.toString('base64url'), { mode: 0o644 })
    const { code, told } = await run(['token', 'bob', '--secret-file', 'key'])
    expect(code).toBe(26)
    expect(told).toContain('chmod 600')
  })
})
