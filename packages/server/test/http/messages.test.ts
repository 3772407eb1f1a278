import { beforeEach, describe, expect, it } from 'vitest'
import { nowMs } from '../auth/tokens.ts'
import { newSystem } from './system.ts'

const system = await newSystem()
beforeEach(() => system.operations.reset())

const hello = { from: 'alice', to: { user: 'bob' }, id: '1', body: 'hello' }
const send = (more: Record<string, unknown> = {}) => system.call('POST', '/v1/messages', { ...hello, ...more })

describe('POST /v1/messages', () => {
  it('sends a message with defaults, and says until when the call may be repeated', async () => {
    const { status, body } = await send()
    expect(status).toBe(200)
    expect(body).toEqual({
      status: 'sent',
      time: '2026-01-01T00:00:00.000Z',
      timeMs: nowMs,
      retryUntil: '2026-01-08T00:00:00.000Z',
      retryUntilMs: nowMs + 604_800_000,
    })
    const sent = {
      to: { user: 'bob' },
      id: 1n,
      type: 0,
      priority: 8,
      expirySeconds: undefined,
      receipts: true,
      body: Buffer.from('hello'),
    }
    expect(system.operations.messages).toEqual([sent])
  })

  it('hands on everything that may be said', async () => {
    const id = '18446744073709551615'
    const more = { type: 4_294_967_295, priority: 0, expirySeconds: 2_592_000, receipts: false }
    const { status } = await send({ ...more, id, to: { group: 'team' }, body: 'grüße \u{1f600}\u0000' })
    expect(status).toBe(200)
    const body = Buffer.from('grüße \u{1f600}\u0000')
    expect(system.operations.messages).toEqual([{ ...more, id: 18_446_744_073_709_551_615n, to: { group: 'team' }, body }])
  })

  it.each([
    ['', 0],
    ['AA==', 1],
    ['/+8=', 2],
    [Buffer.alloc(1_048_576, 7).toString('base64'), 1_048_576],
  ])('takes bytes as base64', async (bodyBase64, length) => {
    expect((await send({ body: undefined, bodyBase64 })).status).toBe(200)
    const body = system.operations.messages.at(-1)?.body ?? new Uint8Array(0)
    expect(body.byteLength).toBe(length)
    // At once: one by one, the bytes of the large one take seconds.
    expect(Buffer.from(bodyBase64, 'base64').equals(body)).toBe(true)
  })

  it('gives the same verdict to a repeated call, and tells a conflict [I2] [I8]', async () => {
    const first = await send()
    expect(await send()).toMatchObject({ status: 200, body: first.body })
    expect(await send({ body: 'other' })).toMatchObject({
      status: 409,
      body: { code: 'conflict', field: 'id', retryable: false },
    })
    expect(await send()).toMatchObject({ status: 200, body: first.body })
    const rejected = await send({ to: { user: 'nobody' } })
    expect(rejected).toMatchObject({
      status: 404,
      body: { code: 'invalid-destination', field: 'to', detail: "There is no user 'nobody'." },
    })
    expect((await send({ to: { user: 'nobody' } })).body).toEqual(rejected.body)
  })

  it.each(['sent', 'delivered', 'read', 'expired', 'removed', 'unknown'] as const)(
    'answers 200 with the status %s',
    async (verdict) => {
      system.operations.verdict = verdict
      expect(await send()).toMatchObject({ status: 200, body: { status: verdict } })
    },
  )

  it.each([
    ['invalid-destination', 404],
    ['inbox-full', 409],
    ['blocked', 403],
    ['not-member', 403],
    ['not-allowed', 403],
    ['too-large', 413],
    ['conflict', 409],
    ['invalid', 422],
  ] as const)('answers the verdict %s with a problem [I6]', async (verdict, status) => {
    system.operations.verdict = verdict
    const answer = await send()
    expect(answer).toMatchObject({ status, body: { code: verdict, retryable: false, type: `/v1/errors/${verdict}` } })
    expect(answer.headers['retry-after']).toBeUndefined()
  })

  it.each(['busy', 'rate-limited', 'disk-full', 'too-many-keys'] as const)(
    'answers %s with a time to try again',
    async (code) => {
      system.operations.refusal = code
      const answer = await send()
      expect(answer.body).toMatchObject({ code, retryable: true })
      expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
    },
  )

  it('refuses a sender that does not exist', async () => {
    expect(await send({ from: 'nobody' })).toMatchObject({ status: 404, body: { code: 'not-found', field: 'from' } })
  })

  it.each<[Record<string, unknown>, string, string]>([
    [{ id: undefined }, 'id', 'it is what lets the same call be repeated'],
    [{ id: 1 }, 'id', 'a decimal string'],
    [{ id: null }, 'id', 'a decimal string'],
    [{ id: '' }, 'id', 'a decimal string'],
    [{ id: '0' }, 'id', 'a decimal string'],
    [{ id: '00' }, 'id', 'a decimal string'],
    [{ id: '-1' }, 'id', 'a decimal string'],
    [{ id: '1.0' }, 'id', 'a decimal string'],
    [{ id: '0x1' }, 'id', 'a decimal string'],
    [{ id: '1\n' }, 'id', 'a decimal string'],
    [{ id: '\u0661' }, 'id', 'a decimal string'],
    [{ id: '18446744073709551616' }, 'id', '18446744073709551615'],
    [{ id: '000000000000000000001' }, 'id', 'a decimal string'],
    [{ from: undefined }, 'from', 'missing'],
    [{ from: '' }, 'from', 'empty'],
    [{ from: { user: 'alice' } }, 'from', 'string'],
    [{ to: undefined }, 'to', 'missing'],
    [{ to: 'bob' }, 'to', '"user"'],
    [{ to: {} }, 'to', '"user"'],
    [{ to: { user: 'bob', group: 'team' } }, 'to', '"user"'],
    [{ to: { user: 'bob', kind: 'x' } }, 'to', '"user"'],
    [{ to: { user: 7 } }, 'to', '"user"'],
    [{ to: { user: 'a\u0000b' } }, 'to.user', 'control'],
    [{ to: { group: '' } }, 'to.group', 'empty'],
    [{ body: 7 }, 'body', 'string'],
    [{ body: 'a\ud800' }, 'body', 'Unicode'],
    [{ body: undefined, bodyBase64: 'A' }, 'bodyBase64', 'base64'],
    [{ body: undefined, bodyBase64: 'AA' }, 'bodyBase64', 'base64'],
    [{ body: undefined, bodyBase64: 'AB==' }, 'bodyBase64', 'base64'],
    [{ body: undefined, bodyBase64: '_-8=' }, 'bodyBase64', 'base64'],
    [{ body: undefined, bodyBase64: 'AA==\n' }, 'bodyBase64', 'base64'],
    [{ type: -1 }, 'type', '>= 0'],
    [{ type: 4_294_967_296 }, 'type', '<= 4294967295'],
    [{ type: 1.5 }, 'type', 'integer'],
    [{ type: '1' }, 'type', 'integer'],
    [{ priority: -1 }, 'priority', '>= 0'],
    [{ priority: 16 }, 'priority', '<= 15'],
    [{ priority: null }, 'priority', 'integer'],
    [{ expirySeconds: 0 }, 'expirySeconds', '>= 1'],
    [{ expirySeconds: 2_592_001 }, 'expirySeconds', '<= 2592000'],
    [{ receipts: 'yes' }, 'receipts', 'boolean'],
    [{ receipts: 1 }, 'receipts', 'boolean'],
    [{ deadlineMs: 1 }, 'deadlineMs', 'no field'],
  ])('refuses %j', async (more, field, detail) => {
    const { status, body } = await send(more)
    expect(status).toBe(400)
    expect(body).toMatchObject({ code: 'invalid-argument', field, detail: expect.stringContaining(detail) })
    expect(system.operations.messages).toEqual([])
  })

  it.each([
    ['neither', { body: undefined }],
    ['both', { bodyBase64: '' }],
  ])('refuses a message with %s of the two bodies', async (_what, more) => {
    const detail = expect.stringMatching(/`body`.*`bodyBase64`/)
    expect(await send(more)).toMatchObject({ status: 400, body: { code: 'invalid-argument', detail } })
  })
})

describe('GET /v1/messages/:from/:kind/:to/:id', () => {
  it('gives the status of a message to a user and to a group', async () => {
    await send()
    await send({ to: { group: 'team' }, id: '18446744073709551615' })
    const counts = { delivered: 0, read: 0, members: 1 }
    const time = { time: '2026-01-01T00:00:00.000Z', timeMs: nowMs }
    const deadline = { deadline: '2026-01-01T00:00:01.000Z', deadlineMs: nowMs + 1_000 }
    const status = { status: 'sent', ...counts, ...time, ...deadline }
    for (const url of ['/v1/messages/alice/user/bob/1', '/v1/messages/alice/group/team/18446744073709551615']) {
      const answer = await system.call('GET', url)
      expect(answer.status).toBe(200)
      expect(answer.body).toEqual(status)
    }
  })

  it('says unknown, without a time, of what nobody knows [I6]', async () => {
    const { body } = await system.call('GET', '/v1/messages/alice/user/bob/2')
    expect(body).toMatchObject({ status: 'unknown', time: null, timeMs: null, deadline: null, deadlineMs: null })
  })

  it.each([
    ['alice/room/bob/1', 400, 'kind'],
    ['alice/user/bob/x', 400, 'id'],
    ['alice/user/bob/0', 400, 'id'],
    ['alice/user/bob/18446744073709551616', 400, 'id'],
    ['a%0Ab/user/bob/1', 400, 'from'],
    ['alice/user/a%0Ab/1', 400, 'to'],
    ['nobody/user/bob/1', 404, 'from'],
    ['alice/user/nobody/1', 404, 'to'],
    ['alice/group/bob/1', 404, 'to'],
  ])('refuses %s', async (path, status, field) => {
    expect(await system.call('GET', `/v1/messages/${path}`)).toMatchObject({ status, body: { field } })
  })
})
