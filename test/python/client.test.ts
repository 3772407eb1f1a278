import { cpSync, existsSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Playground, type Run } from '../cli/program.ts'

const pathOf = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))
const python = `exec ${pathOf('.venv/bin/python')} -B`
if (!existsSync(pathOf('.venv/bin/python'))) throw new Error('No Python for these tests: bash scripts/test-setup.sh')

let ground: Playground
let url: string
beforeEach(() => {
  ground = new Playground()
})
afterEach(() => ground.end())

/** Starts the server (again, where it was) and remembers its address. */
async function serve(...flags: string[]): Promise<Run> {
  const server = await ground.dev(...(url === '' ? [] : ['--port', new URL(url).port, '--admin-port', '0']), ...flags)
  url = JSON.parse(server.stdout().split('\n')[0] ?? '').url
  return server
}

/** Starts the example client as this user, with a store of its own as a rule. */
async function client(user: string, words: string, store = user): Promise<Run> {
  const token = (await ground.run(['token', user])).stdout.trim()
  return ground.shell(`${python} ${pathOf('docs/examples/client.py')} --url ${url} --token ${token} --store ${store}.db ${words}`)
}

const finish = async (user: string, words: string) => (await client(user, words)).ended
const send = (user: string, to: string, text: string) => finish(user, `send ${to} '${text}'`)

async function kill({ child, ended }: Run): Promise<string> {
  child.kill('SIGKILL')
  return (await ended).stdout
}

/** The bodies in a client's inbox, in the order in which they were stored. */
async function inbox(user: string): Promise<string[]> {
  const rows = `sqlite3.connect("${user}.db").execute("SELECT body FROM inbox ORDER BY n")`
  const program = `import json, sqlite3; print(json.dumps([body.decode() for body, in ${rows}]))`
  return JSON.parse((await ground.shell(`${python} -c '${program}'`).ended).stdout)
}

const linesOf = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => `line ${from + at}`)
const inputOf = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join('')
/** The lines of a run's output; the last one is left out where a kill cut it off. */
const complete = (stdout: string) => stdout.split('\n').slice(0, -1)

describe('the example client in Python', () => {
  beforeEach(() => {
    url = ''
  })

  it('[I1] [I2] [I3] carries messages to itself and to and from the command line', async () => {
    await serve()
    expect(await send('alice', 'bob', 'Zoë')).toMatchObject({ code: 0, stdout: '', stderr: '' })
    expect(await ground.run(['send', '--as', 'alice', '--to', 'bob', 'from the command line'])).toMatchObject({ code: 0 })
    const listened = await finish('bob', 'listen --count 2')
    expect(listened).toMatchObject({ code: 0, stdout: 'alice\tZoë\nalice\tfrom the command line\n' })
    expect(await send('bob', 'alice', 'to the command line')).toMatchObject({ code: 0 })
    const { stdout } = await ground.run(['listen', '--as', 'alice', '--json', '--count', '1'])
    expect(JSON.parse(stdout)).toMatchObject({ from: { user: 'bob' }, text: 'to the command line' })
  })

  it('sends nothing from a store of another user, and leaves nothing in it', async () => {
    await serve()
    expect(await send('alice', 'bob', 'from alice')).toMatchObject({ code: 0 })
    const { code, stderr } = await (await client('bob', 'send bob fromBob', 'alice')).ended
    expect([code, stderr]).toEqual([1, expect.stringContaining('wrong user')])
    expect(await send('alice', 'bob', 'the last')).toMatchObject({ code: 0 })
    expect(await finish('bob', 'listen --count 2')).toMatchObject({ stdout: 'alice\tfrom alice\nalice\tthe last\n' })
  })

  it('[I6] exits with the number of the status of what was not sent, and goes on with the next message', async () => {
    await serve()
    expect(await send('alice', 'nobody', 'hi')).toMatchObject({ code: 1, stderr: 'status 10\n' })
    expect(await send('alice', 'bob', 'x'.repeat(70_000))).toMatchObject({ code: 1, stderr: 'status 15\n' })
    expect(await send('alice', 'bob', 'hi')).toMatchObject({ code: 0 })
    expect(await finish('bob', 'listen --count 1')).toMatchObject({ code: 0, stdout: 'alice\thi\n' })
  })

  it('[I1] [I2] [I3] has every message once and prints all in order, though it and the server are killed', {
    timeout: 90_000,
  }, async () => {
    const server = await serve()
    const sender = ground.start(['send', '--as', 'alice', '--to', 'bob'], { input: null })
    const outputs: string[] = []
    let listener = await client('bob', 'listen')
    // The input goes on only after each kill, so that there is always something left to receive.
    for (const [from, to] of [
      [1, 100],
      [101, 200],
      [201, 300],
    ] as const) {
      sender.child.stdin.write(inputOf(linesOf(from, to)))
      await listener.until(`line ${from + 20}\n`)
      outputs.push(await kill(listener))
      listener = await client('bob', 'listen')
    }
    sender.child.stdin.write(inputOf(linesOf(301, 400)))
    await listener.until('line 320\n')
    await kill(server)
    sender.child.stdin.end(inputOf(linesOf(401, 500)))
    await serve()
    await listener.until('line 500\n')
    expect((await sender.ended).code).toBe(0)
    outputs.push(await kill(listener))

    expect(await inbox('bob')).toEqual(linesOf(1, 500))
    let printed = 0
    for (const lines of outputs.map(complete)) {
      // A run prints in order and nothing twice; it may begin with the one line that the run before had no time to mark.
      const first = Number(lines[0]?.split(' ')[1])
      expect([Math.max(printed, 1), printed + 1]).toContain(first)
      expect(lines).toEqual(linesOf(first, first + lines.length - 1).map((line) => `alice\t${line}`))
      printed = first + lines.length - 1
    }
    expect(printed).toBe(500)
  })

  it('[I2] prints nothing again and loses nothing when the server goes back to a backup', async () => {
    const first = await serve()
    await send('alice', 'bob', 'before')
    expect(await finish('bob', 'listen --count 1')).toMatchObject({ stdout: 'alice\tbefore\n' })
    first.child.kill('SIGTERM')
    await first.ended
    cpSync(ground.path('.posthaste/data'), ground.path('backup'), { recursive: true })
    const second = await serve()
    await send('alice', 'bob', 'lost by the server')
    expect(await finish('bob', 'listen --count 1')).toMatchObject({ stdout: 'alice\tlost by the server\n' })
    await send('alice', 'bob', 'lost before it was received')
    await kill(second)
    const restore = async (...flags: string[]): Promise<Run> => {
      rmSync(ground.path('.posthaste/data'), { recursive: true })
      cpSync(ground.path('backup'), ground.path('.posthaste/data'), { recursive: true })
      const ports = ['--port', new URL(url).port, '--admin-port', '0']
      const server = ground.start(['serve', '--json', '--restored', ...flags, ...ports])
      await server.until('"event":"listening"')
      return server
    }
    const third = await restore()
    await send('alice', 'bob', 'after')
    const listened = await finish('bob', 'listen --count 2')
    expect(listened.stdout).toBe('alice\tlost before it was received\nalice\tafter\n')
    expect(await inbox('bob')).toEqual(['before', 'lost by the server', 'lost before it was received', 'after'])
    // The same backup once more, in an epoch above all that there were: the log names them.
    const epoch = Number(/"epoch":(\d+)/.exec(third.stdout() + third.stderr())?.[1])
    await kill(third)
    await restore('--epoch', `${epoch + 1}`)
    await send('alice', 'bob', 'once more')
    expect(await finish('bob', 'listen --count 1')).toMatchObject({ stdout: 'alice\tonce more\n' })
  })

  it.each(['conversations', 'vectors'])('passes its tests in Python: %s', async (name) => {
    const { code, stderr } = await ground.shell(`${python} ${pathOf(`test/python/${name}.py`)}`).ended
    expect([code, stderr]).toEqual([0, expect.stringMatching(/^Ran \d+ tests? in .*\n\nOK\n$/m)])
  })
})
