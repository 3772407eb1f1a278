import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { jsonLines, Playground, programPath } from './program.ts'

let ground: Playground
beforeEach(async () => {
  ground = new Playground()
})
afterEach(() => ground.end())

const sendTo = (to: string, ...rest: string[]) => ['send', '--as', 'alice', '--to', to, ...rest]
const listenFor = (count: number, ...rest: string[]) => ['listen', '--as', 'bob', '--json', '--count', String(count), ...rest]
const textsOf = (stdout: string) => jsonLines(stdout).map(({ text }) => text)

describe('send and listen', () => {
  it('[I3] carry a text, a file and lines, byte by byte and in order', async () => {
    await ground.dev()
    const bytes = Uint8Array.from({ length: 1_000 }, (_, at) => at % 256)
    writeFileSync(ground.path('file'), bytes)
    expect((await ground.run(sendTo('bob', 'Zoë'))).code).toBe(0)
    expect((await ground.run(sendTo('user:bob', '--file', 'file', '--type', '7', '--id', '18446744073709551615'))).code).toBe(0)
    expect((await ground.run(sendTo('bob'), { input: 'one\n\nthree' })).code).toBe(0)
    const { code, stdout } = await ground.run(listenFor(5))
    const lines = jsonLines(stdout)
    expect(code).toBe(0)
    expect(lines.map(({ text }) => text)).toEqual(['Zoë', undefined, 'one', '', 'three'])
    expect(Buffer.from(String(lines[1]?.base64), 'base64').equals(bytes)).toBe(true)
    expect(lines[1]).toMatchObject({
      id: '18446744073709551615',
      type: 7,
      from: { user: 'alice' },
      to: { user: 'bob' },
      redelivered: false,
    })
  })

  it('wait for delivered and for read', async () => {
    await ground.dev()
    const listener = ground.start(['listen', '--as', 'bob', '--read'], { input: null })
    const [delivered, read] = await Promise.all([
      ground.run(sendTo('bob', '--wait', 'delivered', '--json', 'a'), {}),
      ground.run(sendTo('bob', '--wait', 'read', '--store', 'another', 'b'), {}),
    ])
    expect([delivered.code, JSON.parse(delivered.stdout)]).toMatchObject([0, { status: 'delivered', to: { user: 'bob' } }])
    expect([read.code, read.stdout]).toEqual([0, expect.stringMatching(/^read \d+\n$/)])
    listener.child.kill('SIGTERM')
    expect((await listener.ended).code).toBe(0)
  })

  it('[I1] leave what comes for their user meanwhile to whoever listens', async () => {
    await ground.dev()
    expect((await ground.run(sendTo('bob', 'hi'))).code).toBe(0)
    expect((await ground.run(['send', '--as', 'bob', '--to', 'alice', '--id', '7', 'reply'])).code).toBe(0)
    expect((await ground.run(sendTo('bob', 'again'))).code).toBe(0)
    expect((await ground.run(sendTo('bob', '--store', 'another', 'once more'))).code).toBe(0)
    const waiting = await ground.run(['status', '--from', 'bob', '--to', 'alice', '--id', '7'])
    expect(waiting.stdout).toContain('sent')
    const listened = await ground.run(['listen', '--as', 'alice', '--count', '1', '--raw'])
    expect([listened.code, listened.stdout]).toEqual([0, 'reply\n'])
  })

  it('say what they wait for, when nobody listens', async () => {
    await ground.dev()
    const interrupted = ground.start(sendTo('bob', '--wait', 'read', '--json', '--id', '7', '--store', 'another', 'hello'))
    await interrupted.until('Waiting until bob has read it.')
    interrupted.child.kill('SIGINT')
    const { code, stdout } = await interrupted.ended
    expect([code, JSON.parse(stdout)]).toEqual([130, { id: '7', to: { user: 'bob' }, status: 'sent', isOpen: true }])
    const waiting = ground.start(sendTo('bob', '--wait', 'delivered', 'hello'))
    await waiting.until('Waiting until bob has received it.')
    const listened = await ground.run(['listen', '--as', 'bob', '--count', '2'])
    expect([listened.code, (await waiting.ended).code]).toEqual([0, 0])
  })

  it('[I6] end as incomplete when only some members of a group have the message in time', async () => {
    await ground.dev()
    for (const line of [
      'user create dora',
      'group create team',
      'group add team alice',
      'group add team bob',
      'group add team dora',
    ])
      expect((await ground.run(line.split(' '))).code).toBe(0)
    const listener = ground.start(['listen', '--as', 'bob'], { input: null })
    const sent = await ground.run(sendTo('group:team', '--expiry', '2', '--wait', 'delivered', 'hello'))
    expect([sent.code, sent.stderr]).toEqual([27, expect.stringContaining('1 of 2 members')])
    listener.child.kill('SIGTERM')
    await listener.ended
  })

  it('[I6] exit with the code of how a message ended', async () => {
    await ground.dev()
    const nobody = await ground.run(sendTo('nobody', '--json', 'hi'))
    expect([nobody.code, JSON.parse(nobody.stdout)]).toMatchObject([
      10,
      { status: 'invalid-destination', to: { user: 'nobody' } },
    ])
    expect((await ground.run(sendTo('bob', '--id', '5', 'one'))).code).toBe(0)
    const other = await ground.run(sendTo('bob', '--id', '5', 'another', '--store', 'fresh'))
    expect([other.code, other.stderr]).toEqual([16, expect.stringContaining('conflict')])
    expect((await ground.run(sendTo('bob', '--realtime', 'anyone?'))).code).toBe(3)
    for (const [bytes, limit] of [
      [70_000, '\\(65536\\)'],
      [2_000_000, '1048576'],
    ] as const) {
      writeFileSync(ground.path('large'), new Uint8Array(bytes))
      const large = await ground.run(sendTo('bob', '--file', 'large'))
      expect([large.code, large.stderr]).toEqual([15, expect.stringMatching(`${bytes} bytes.*${limit}`)])
    }
    const unknown = await ground.run(['status', '--from', 'alice', '--to', 'bob', '--id', '77', '--json'])
    expect([unknown.code, JSON.parse(unknown.stdout)]).toMatchObject([0, { status: 'unknown', members: 0, timeMs: null }])
    expect((await ground.run(['send', '--token', 'a.eyJzdWIiOiJib2IifQ.c', '--to', 'bob', 'hi'])).code).toBe(5)
    const directory = await ground.shell(`"${process.execPath}" "${programPath}" send --as alice --to bob < .`).ended
    expect([directory.code, directory.stderr]).toEqual([2, expect.stringContaining('Standard input is a directory')])
  })

  it('reach who is connected now, with --realtime', async () => {
    await ground.dev()
    const listener = ground.start(listenFor(2), { input: null })
    expect((await ground.run(sendTo('bob', '--wait', 'delivered', 'stored'))).code).toBe(0)
    expect((await ground.run(sendTo('bob', '--expiry', '0', 'now'))).stdout).toMatch(/^delivered/)
    expect(textsOf((await listener.ended).stdout)).toEqual(['stored', 'now'])
  })

  it('keep a message for a server that is away, and send it with the next run', async () => {
    const away = await ground.dev()
    away.child.kill('SIGTERM')
    await away.ended
    const first = await ground.run(sendTo('bob', 'first', '--timeout', '2s'))
    expect([first.code, first.stderr]).toEqual([9, expect.stringContaining('No connection to ws://127.0.0.1:')])
    expect(first.stderr).toContain('The reason: connect ECONNREFUSED 127.0.0.1:')
    expect(first.stderr).toMatch(/^Still open: id \d+, outbox\.$/m)
    const realtime = await ground.run(sendTo('bob', 'now', '--realtime', '--timeout', '1s'))
    expect([realtime.code, realtime.stderr]).toEqual([9, expect.stringContaining('the next run sends none of it')])
    await ground.dev()
    expect((await ground.run(sendTo('bob', 'second'))).code).toBe(0)
    expect(textsOf((await ground.run(listenFor(2))).stdout)).toEqual(['first', 'second'])
  })

  it('[I1] [I2] [I3] carry more lines than an inbox holds: the pipe fills it, and waits for who is away', {
    timeout: 120_000,
  }, async () => {
    await ground.dev()
    const lines = Array.from({ length: 7_000 }, (_, at) => `line ${at + 1}`)
    const sender = ground.start(sendTo('bob'), { input: lines.map((line) => `${line}\n`).join('') })
    await sender.until('Going on once they are received')
    const listener = await ground.run(listenFor(lines.length))
    expect(textsOf(listener.stdout)).toEqual(lines)
    const { code, stderr } = await sender.ended
    expect([code, stderr]).toEqual([0, expect.stringContaining('7,000 messages sent.')])
  })

  it('[I10] send ends where nobody reads what became of its lines, and waits for whoever reads slowly', async () => {
    await ground.dev()
    const to = 'b'.repeat(120)
    expect((await ground.run(['user', 'create', to])).code).toBe(0)
    const endless = ground.start(sendTo(to, '--json'), { input: null })
    const more = setInterval(() => endless.child.stdin.write('on and on\n'), 20)
    await endless.until('"line":1,')
    endless.child.stdout.destroy()
    expect(await endless.ended).toMatchObject({ code: 141, stderr: '' })
    clearInterval(more)
    const unread = ground.start(sendTo(to, '--json', '--store', 'another'), { input: 'on and on\n'.repeat(4_000) })
    unread.child.stdout.pause()
    const waitingOf = async () => JSON.parse((await ground.run(['user', 'show', to, '--json'])).stdout).waiting
    // Far from all: as many lines as the pipe and one batch take.
    await expect.poll(waitingOf).toBeGreaterThan(500)
    expect(unread.child.exitCode).toBeNull()
    unread.child.kill('SIGTERM')
    await expect.poll(() => unread.child.exitCode).toBe(143)
    expect(await waitingOf()).toBeLessThan(3_500)
  })

  it('are two devices of one user, each alone with its store', async () => {
    await ground.dev()
    const listener = ground.start(
      listenFor(1).map((word) => (word === 'bob' ? 'alice' : word)),
      { input: null },
    )
    expect((await ground.run(['send', '--as', 'bob', '--to', 'alice', '--wait', 'delivered', 'hi'])).code).toBe(0)
    await listener.ended
    const holder = ground.start(['listen', '--as', 'bob'], { input: null })
    expect((await ground.run(sendTo('bob', '--wait', 'delivered', 'hi'))).code).toBe(0)
    const second = await ground.run(['listen', '--as', 'bob'])
    expect([second.code, second.stderr]).toEqual([8, expect.stringContaining('--store')])
    expect(holder.child.exitCode).toBeNull()
  })
})

describe('listen', () => {
  it('[I1] acknowledges what its command has taken, and nothing else', async () => {
    await ground.dev()
    await ground.run(sendTo('bob'), { input: 'a\nb\n' })
    const command =
      'body=$(cat); echo "$body $POSTHASTE_REDELIVERED" >> log; test "$body" != a || test -e passed || { touch passed; exit 3; }'
    const { code, stderr } = await ground.run(['listen', '--as', 'bob', '--count', '2', '--exec', command])
    expect([code, stderr]).toEqual([0, expect.stringContaining('--exec ended with exit code 3')])
    const log = readFileSync(ground.path('log'), 'utf8').split('\n')
    expect(log.map((line) => line.split(' ')[0])).toEqual(['a', 'a', 'b', ''])
    await ground.run(sendTo('bob', 'c'))
    expect(textsOf((await ground.run(listenFor(1))).stdout)).toEqual(['c'])
  })

  it('says with --json what its command has taken; what that prints is no JSON, and goes elsewhere', async () => {
    await ground.dev()
    await ground.run(sendTo('bob', '--id', '42', 'hi'))
    const argv = ['listen', '--as', 'bob', '--count', '1', '--json', '--exec', 'cat; test -e failed || { touch failed; exit 3; }']
    const { code, stdout, stderr } = await ground.run(argv)
    expect([code, JSON.parse(stdout)]).toMatchObject([0, { from: { user: 'alice' }, id: '42', redelivered: true, bytes: 2 }])
    expect(stderr).toMatch(/^hi\{"note":"--exec ended with exit code 3.*\}\nhi$/)
  })

  it('[I1] does not acknowledge what nobody reads', async () => {
    await ground.dev()
    await ground.run(sendTo('bob'), { input: 'a\nb\nc\n' })
    const listener = ground.start(['listen', '--as', 'bob', '--raw', '--count', '1'])
    expect((await listener.ended).stdout).toBe('a\n')
    const deaf = ground.start(['listen', '--as', 'bob', '--raw'], { input: null })
    deaf.child.stdout.destroy()
    expect((await deaf.ended).code).toBe(141)
    expect(textsOf((await ground.run(listenFor(2))).stdout)).toEqual(['b', 'c'])
  })

  it('[I2] ends after its count with everything after it still to come', async () => {
    await ground.dev()
    await ground.run(sendTo('bob'), { input: 'a\nb\nc\nd\n' })
    const parts: unknown[] = []
    for (const count of [1, 2, 1]) parts.push(textsOf((await ground.run(listenFor(count))).stdout))
    expect(parts).toEqual([['a'], ['b', 'c'], ['d']])
  })

  it('says nothing of the messages that still waited for their turn when it ended', async () => {
    await ground.dev()
    const sendLanes = async () => {
      for (const priority of ['0', '4', '15'])
        expect((await ground.run(sendTo('bob', '--priority', priority, 'hi'))).code).toBe(0)
    }
    await sendLanes()
    const counted = await ground.run(['listen', '--as', 'bob', '--raw', '--count', '1'])
    expect(counted).toMatchObject({ code: 0, stdout: 'hi\n', stderr: '' })
    const unread = ground.start(['listen', '--as', 'bob', '--raw'], { input: null })
    unread.child.stdout.destroy()
    expect(await unread.ended).toMatchObject({ code: 141, stderr: '' })
    await sendLanes()
    const interrupted = ground.start(['listen', '--as', 'bob', '--exec', 'echo began; sleep 0.5'], { input: null })
    await interrupted.until('began')
    interrupted.child.kill('SIGINT')
    expect(await interrupted.ended).toMatchObject({ code: 0, stdout: 'began\n', stderr: '' })
  })

  it('finishes what its command has begun when its terminal is closed', async () => {
    await ground.dev()
    await ground.run(sendTo('bob', 'hi'))
    const listener = ground.start(['listen', '--as', 'bob', '--exec', 'echo began; sleep 1; echo ended'], { input: null })
    await listener.until('began')
    listener.child.kill('SIGHUP')
    expect(await listener.ended).toMatchObject({ code: 0, stdout: 'began\nended\n' })
  })

  it('writes files that are whole', async () => {
    await ground.dev()
    await ground.run(sendTo('bob'), { input: 'a\nb\n' })
    const { stdout } = await ground.run(listenFor(2, '--out', 'inbox'))
    const files = readdirSync(ground.path('inbox'))
    expect(
      jsonLines(stdout)
        .map(({ key }) => key)
        .sort(),
    ).toEqual(files.sort())
    expect(files.map((name) => readFileSync(ground.path(`inbox/${name}`), 'utf8')).sort()).toEqual(['a', 'b'])
  })
})
