import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runCommandLine } from '../../src/cli/dispatch.ts'
import { adminKey, newSystem, type System } from '../http/system.ts'
import { fakeIo } from './fake-io.ts'

let system: System
let url = ''
beforeEach(async () => {
  system = await newSystem()
  url = await system.app.listen({ host: '127.0.0.1', port: 0 })
})
afterEach(() => system.app.close())

async function run(...argv: string[]) {
  const io = fakeIo({ env: { POSTHASTE_ADMIN_URL: url, POSTHASTE_ADMIN_KEY: adminKey } })
  const code = await runCommandLine(argv, io)
  return { code, printed: io.printed(), told: io.told() }
}

describe('the commands and the HTTP API agree', () => {
  it('about users', async () => {
    expect(await run('user', 'create', 'Zoë/1')).toEqual({ code: 0, printed: 'Created Zoë/1.\n', told: '' })
    expect(await run('user', 'create', 'Zoë/1')).toEqual({ code: 0, printed: 'Zoë/1 exists already.\n', told: '' })
    expect(JSON.parse((await run('user', 'show', 'Zoë/1', '--json')).printed)).toMatchObject({ name: 'Zoë/1' })
    for (const verb of ['revoke', 'delete']) expect((await run('user', verb, 'Zoë/1')).code).toBe(0)
    expect((await run('user', 'show', 'Zoë/1')).code).toBe(6)
    expect((await run('user', 'block', 'bob', 'alice')).code).toBe(0)
    expect((await run('user', 'unblock', 'bob', 'alice')).code).toBe(0)
    expect((await run('user', 'block', 'bob', 'nobody')).code).toBe(6)
  })

  it('about groups and their members', async () => {
    expect((await run('group', 'create', 'crew')).code).toBe(0)
    expect((await run('group', 'create', 'crew')).code).toBe(7)
    expect((await run('group', 'add', 'crew', 'bob', '--roles', 'receive,admin')).code).toBe(0)
    expect((await run('group', 'add', 'crew', 'alice')).code).toBe(0)
    expect((await run('group', 'members', 'crew')).printed).toBe('alice  send,receive\nbob    receive,admin\n')
    expect((await run('group', 'remove', 'crew', 'bob')).code).toBe(0)
    expect((await run('group', 'members', 'crew', '--json')).printed).toBe('{"user":"alice","roles":["send","receive"]}\n')
    expect((await run('group', 'delete', 'crew')).code).toBe(0)
    expect((await run('group', 'show', 'crew')).code).toBe(6)
  })

  it('about more members than fit on a page', async () => {
    const names = Array.from({ length: 600 }, (_, at) => `user ${String(at).padStart(3, '0')}`)
    await run('group', 'create', 'crowd')
    for (const name of names) {
      await system.operations.createUser(name)
      await system.operations.setMember('crowd', name, 3)
    }
    const lines = (await run('group', 'members', 'crowd', '--json')).printed.trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line).user)).toEqual(names)
  })

  it('about messages, health and keys', async () => {
    const message = { from: 'alice', to: { user: 'bob' }, id: '42', body: 'hi' }
    expect((await system.call('POST', '/v1/messages', message)).status).toBe(200)
    const found = await run('status', '--from', 'alice', '--to', 'bob', '--id', '42', '--json')
    expect([found.code, JSON.parse(found.printed)]).toMatchObject([0, { status: 'sent' }])
    expect((await run('status', '--from', 'nobody', '--to', 'bob', '--id', '42')).code).toBe(6)
    expect((await run('status')).printed).toMatch(/^isHealthy +true$/m)
    const denied = await run('user', 'show', 'bob', '--admin-key', 'wrong')
    expect([denied.code, denied.told]).toEqual([5, expect.stringContaining('--admin-key-file')])
  })
})
