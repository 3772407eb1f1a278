import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { LineBatch } from '../../src/cli/lines.ts'
import { Pacing } from '../../src/cli/pacing.ts'
import { idsFrom } from '../../src/cli/run-ids.ts'
import { type Draft, type Handle, type Outcome, Sending, type SendingClient, type SendPlan } from '../../src/cli/sending.ts'

/** An outbox that the test answers for. */
class FakeClient implements SendingClient {
  readonly taken: Draft[] = []
  readonly connection = { state: { status: 'live', bodyBytesMax: 50_000 } }
  /** Thrown for a call that holds such a draft; nothing of it is taken. */
  fault: (drafts: readonly Draft[]) => string | undefined = () => undefined
  /** What becomes of a draft. */
  answer: (draft: Draft, number: number, status: string) => Promise<void> = async () => {}
  readonly calls: number[] = []

  async sendMany(drafts: readonly Draft[]): Promise<Handle[]> {
    this.calls.push(drafts.length)
    const code = this.fault(drafts)
    if (code !== undefined) throw coded(code)
    return drafts.map((draft) => {
      this.taken.push(draft)
      const number = this.taken.length
      return { id: draft.id ?? 99n, status: 'outbox', waitFor: (status) => this.answer(draft, number, status) }
    })
  }
}

const coded = (code: string) => Object.assign(new Error(`because ${code}`), { code })
const never = new Promise<void>(() => {})
const turns = async (count: number) => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

async function* batches(lineCount: number, batchLines = 4): AsyncGenerator<LineBatch> {
  for (let first = 1; first <= lineCount; first += batchLines) {
    const lines = Array.from({ length: Math.min(batchLines, lineCount - first + 1) }, (_, at) =>
      Buffer.from(`line ${first + at}`),
    )
    yield { firstLine: first, lines }
  }
}

/** A report that nothing is asked of. */
const deaf = { add: () => {}, written: async () => {}, outboxFull: () => {}, destinationFull: () => {} }

const draft = { to: { user: 'bob' }, type: 0, priority: 8, expirySeconds: 60, receipts: true }

function start(client: FakeClient, lineCount: number, plan: Partial<SendPlan> = {}, batchLines = 4) {
  const outcomes: Outcome[] = []
  const fulls: number[] = []
  const ending = new AbortController()
  const whole: SendPlan = { draft, idOf: idsFrom(100n), wait: 'sent', keepsGoing: false, pacing: undefined, ...plan }
  const sending = new Sending(client, whole, ending.signal, {
    add: (outcome) => outcomes.push(outcome),
    written: async () => {},
    outboxFull: () => fulls.push(client.calls.length),
    destinationFull: () => fulls.push(client.taken.length),
  })
  return { outcomes, fulls, ending, sending, run: sending.run(batches(lineCount, batchLines)) }
}

describe('sending', () => {
  it('[I4] hands all lines over in order, with the ids of their numbers, and reports each once', async () => {
    const client = new FakeClient()
    const { outcomes, run } = start(client, 10)
    await run
    expect(client.taken.map(({ id, body }) => `${id} ${Buffer.from(body)}`)).toEqual(
      Array.from({ length: 10 }, (_, at) => `${100 + at} line ${at + 1}`),
    )
    expect(outcomes.map(({ number, id, isDone, code }) => [number, id, isDone, code])).toEqual(
      Array.from({ length: 10 }, (_, at) => [at + 1, BigInt(100 + at), true, 'sent']),
    )
    expect(client.calls).toEqual([4, 4, 2])
  })

  it('[I6] follows what is under way to its end, where the input can be read no further', async () => {
    const client = new FakeClient()
    let answer = () => {}
    client.answer = () => new Promise((resolve) => (answer = resolve))
    const outcomes: Outcome[] = []
    const report = { ...deaf, add: (outcome: Outcome) => outcomes.push(outcome) }
    const plan: SendPlan = { draft, idOf: idsFrom(1n), wait: 'sent', keepsGoing: false, pacing: undefined }
    async function* input(): AsyncGenerator<LineBatch> {
      yield { firstLine: 1, lines: [Buffer.from('first')] }
      throw coded('too-large')
    }
    const run = new Sending(client, plan, new AbortController().signal, report).run(input())
    await turns(10)
    expect(outcomes).toEqual([])
    answer()
    await expect(run).rejects.toMatchObject({ code: 'too-large' })
    expect(outcomes).toMatchObject([{ number: 1, isDone: true }])
  })

  it.each([
    [false, [[1, 'inbox-full']]],
    [
      true,
      [
        [2, 'too-large'],
        [1, 'inbox-full'],
        [3, 'sent'],
      ],
    ],
  ] as const)('tells of a line that is too long, and goes on only where it is to (%s)', async (keepsGoing, expected) => {
    const client = new FakeClient()
    let fail = (_error: Error) => {}
    client.answer = (_draft, number) => (number === 1 ? new Promise((_resolve, reject) => (fail = reject)) : Promise.resolve())
    const outcomes: Outcome[] = []
    const report = { ...deaf, add: (outcome: Outcome) => outcomes.push(outcome) }
    const plan: SendPlan = { draft, idOf: idsFrom(1n), wait: 'sent', keepsGoing, pacing: undefined }
    async function* input(): AsyncGenerator<LineBatch> {
      yield { firstLine: 1, lines: [Buffer.from('first')] }
      yield { firstLine: 2, lines: [], isTooLong: true }
      fail(coded('inbox-full'))
      yield { firstLine: 3, lines: [Buffer.from('last')] }
    }
    const run = new Sending(client, plan, new AbortController().signal, report).run(input())
    await turns(10)
    fail(coded('inbox-full'))
    await run
    expect(outcomes.map(({ number, code }) => [number, code])).toEqual(expected)
  })

  it('[I10] takes no more lines while nobody reads what became of those before, until it is ended', async () => {
    const client = new FakeClient()
    const ending = new AbortController()
    let [written, read] = [Promise.resolve(), () => {}]
    const add = () => {
      written = new Promise((resolve) => (read = resolve))
    }
    const plan: SendPlan = { draft, idOf: idsFrom(1n), wait: 'sent', keepsGoing: false, pacing: undefined }
    const run = new Sending(client, plan, ending.signal, { ...deaf, add, written: () => written }).run(batches(100))
    await turns(10)
    expect(client.taken.length).toBe(4)
    read()
    await turns(10)
    expect(client.taken.length).toBe(8)
    ending.abort(coded('interrupted'))
    await expect(run).rejects.toMatchObject({ code: 'interrupted' })
    expect(client.taken.length).toBe(8)
  })

  it('is not done before its report is written', async () => {
    let read = () => {}
    const plan: SendPlan = { draft, idOf: idsFrom(1n), wait: 'sent', keepsGoing: false, pacing: undefined }
    let isTold = false
    const written = () => (isTold ? new Promise<void>((resolve) => (read = resolve)) : Promise.resolve())
    const report = { ...deaf, add: () => (isTold = true), written }
    let isOver = false
    const run = new Sending(new FakeClient(), plan, new AbortController().signal, report).run(batches(1))
    run.then(() => (isOver = true))
    await turns(10)
    expect([isTold, isOver]).toEqual([true, false])
    read()
    await run
  })

  it('tells, when it is ended, which messages were open, though their ends follow at once', async () => {
    const client = new FakeClient()
    const ends: ((error: Error) => void)[] = []
    client.answer = (_draft, number) => (number === 2 ? Promise.resolve() : new Promise((_resolve, reject) => ends.push(reject)))
    const { run, sending, ending } = start(client, 4)
    run.catch(() => {})
    await turns(5)
    expect(sending.left).toEqual([])
    ending.abort(coded('token-refused'))
    for (const end of ends) end(coded('token-refused'))
    await expect(run).rejects.toMatchObject({ code: 'token-refused' })
    expect(sending.left).toEqual([1, 3, 4].map((number) => ({ number, id: BigInt(99 + number), status: 'outbox' })))
  })

  it('leaves the ids to the SDK where the plan has none', async () => {
    const client = new FakeClient()
    await start(client, 1, { idOf: () => undefined }).run
    expect(client.taken[0]).not.toHaveProperty('id')
  })

  it('does not end before the last message is answered', async () => {
    const client = new FakeClient()
    let answer = () => {}
    client.answer = (_draft, number) => (number === 3 ? new Promise((resolve) => (answer = resolve)) : Promise.resolve())
    const { run, outcomes } = start(client, 5)
    let isOver = false
    run.then(() => (isOver = true))
    await turns(5)
    expect([isOver, outcomes.length]).toEqual([false, 4])
    answer()
    await run
    expect(outcomes.length).toBe(5)
  })

  it.each([
    ['sent', 1_024],
    ['delivered', 4_096],
  ] as const)('[I10] takes no more than a bounded number of lines while nothing is %s', async (wait, most) => {
    const client = new FakeClient()
    client.answer = () => never
    const { run, ending } = start(client, 20_000, { wait }, 256)
    await turns(200)
    expect(client.taken.length).toBe(most)
    ending.abort(coded('interrupted'))
    await expect(run).rejects.toMatchObject({ code: 'interrupted' })
  })

  it('stops taking lines at the first failure, and follows those under way to their ends', async () => {
    const client = new FakeClient()
    client.answer = (_draft, number) => (number === 2 ? Promise.reject(coded('inbox-full')) : Promise.resolve())
    const { run, outcomes } = start(client, 5_000, {}, 256)
    await run
    expect(client.taken.length).toBeLessThan(5_000)
    expect(outcomes.length).toBe(client.taken.length)
    expect(outcomes.filter(({ isDone }) => !isDone)).toEqual([
      { number: 2, id: 101n, isDone: false, code: 'inbox-full', message: "'bob' holds as many undelivered messages as it may." },
    ])
  })

  it('names what the server allows of a body that it found too large once there was a connection', async () => {
    const client = new FakeClient()
    client.answer = () => Promise.reject(coded('too-large'))
    const { run, outcomes } = start(client, 1)
    await run
    expect(outcomes).toMatchObject([{ code: 'too-large', message: expect.stringContaining('50000') }])
  })

  it('goes on after failures when it is told to', async () => {
    const client = new FakeClient()
    client.answer = (_draft, number) => (number % 2 === 0 ? Promise.reject(coded('expired')) : Promise.resolve())
    const { run, outcomes } = start(client, 1_000, { keepsGoing: true })
    await run
    expect(outcomes.filter(({ isDone }) => isDone).length).toBe(500)
    expect(client.taken.length).toBe(1_000)
  })

  it('[I8] finds the one line of a batch that the outbox refuses, and names it', async () => {
    const client = new FakeClient()
    client.fault = (drafts) => (drafts.some(({ id }) => id === 102n) ? 'conflict' : undefined)
    const { run, outcomes } = start(client, 8, { keepsGoing: true })
    await run
    expect(client.taken.map(({ id }) => id)).toEqual([100n, 101n, 103n, 104n, 105n, 106n, 107n])
    expect(outcomes.filter(({ isDone }) => !isDone)).toMatchObject([{ number: 3, id: 102n, code: 'conflict' }])
  })

  it('waits while the outbox is full, and then goes on with the same lines', async () => {
    const client = new FakeClient()
    let refusals = 2
    client.fault = () => (refusals-- > 0 ? 'outbox-full' : undefined)
    const { run, fulls } = start(client, 6)
    await run
    expect(fulls).toEqual([1, 2])
    expect(client.taken.map(({ id }) => id)).toEqual([100n, 101n, 102n, 103n, 104n, 105n])
    expect(client.calls).toEqual([4, 4, 4, 2])
  })

  it('ends with the error of a store that fails', async () => {
    const client = new FakeClient()
    client.fault = () => 'store-full'
    await expect(start(client, 6).run).rejects.toMatchObject({ code: 'store-full' })
  })
})

describe('the pace of lines', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  /** Every line is sent at once, and delivered when the test says so. */
  function startPaced(
    lineCount: number,
    to: { user: string } | { group: string } = { user: 'bob' },
    plan: Partial<SendPlan> = {},
  ) {
    const client = new FakeClient()
    const waiting = new Map<number, () => void>()
    client.answer = (_draft, number, status) =>
      status === 'sent' ? Promise.resolve() : new Promise((resolve) => waiting.set(number, resolve))
    const quiet = { ...draft, to, receipts: false }
    const run = start(client, lineCount, { draft: quiet, pacing: new Pacing(to), ...plan }, 256)
    run.run.catch(() => {})
    const deliver = async (upTo: number) => {
      for (const [number, resolve] of waiting) if (number <= upTo) resolve()
      await turns(100)
    }
    const wait = async (ms: number) => {
      vi.advanceTimersByTime(ms)
      await turns(100)
    }
    return { client, ...run, deliver, wait }
  }

  it('[I10] stays a thousand lines ahead of what is received, whatever their number', async () => {
    const { client, run, deliver } = startPaced(20_000)
    await turns(100)
    expect(client.taken.length).toBe(1_000)
    for (let delivered = 160; delivered <= 19_000; delivered += 160) {
      await deliver(delivered)
      expect(client.taken.length).toBe(Math.min(20_000, delivered + 1_000))
    }
    await deliver(20_000)
    await run
    expect(client.taken.map(({ id }) => id)).toEqual(Array.from({ length: 20_000 }, (_, at) => BigInt(100 + at)))
  })

  it('asks one line in sixteen for receipts', async () => {
    const { client, run } = startPaced(40)
    await run
    expect(client.taken.flatMap(({ receipts }, at) => (receipts ? [at + 1] : []))).toEqual([16, 32])
  })

  it('[I1] fills the inbox of a destination that receives nothing up to its limit, then waits for it', async () => {
    const { client, fulls, run, deliver, wait } = startPaced(6_000)
    await turns(100)
    await wait(1_999)
    expect(client.taken.length).toBe(1_000)
    await wait(1)
    expect([client.taken.length, fulls]).toEqual([5_000, [5_000]])
    await wait(3_600_000)
    expect(client.taken.length).toBe(5_000)
    await deliver(4_992)
    expect(client.taken.length).toBe(5_992)
    await deliver(5_984)
    await run
    expect(client.taken.length).toBe(6_000)
  })

  it('goes on to the limit again when the destination stops receiving', async () => {
    const { client, ending, run, deliver, wait } = startPaced(20_000)
    await turns(100)
    await deliver(512)
    await wait(2_000)
    expect(client.taken.length).toBe(5_512)
    ending.abort(coded('interrupted'))
    await expect(run).rejects.toMatchObject({ code: 'interrupted' })
  })

  it('leaves the limit of a group to the server', async () => {
    const { client, fulls, run, wait } = startPaced(20_000, { group: 'team' })
    await turns(100)
    expect(client.taken.length).toBe(1_000)
    await wait(2_000)
    await run
    expect([client.taken.length, fulls]).toEqual([20_000, []])
  })

  it('ends at a failure while it waits for the destination', async () => {
    const { client, run, outcomes } = startPaced(20_000)
    const { answer } = client
    let refuse = () => {}
    client.answer = (given, number, status) =>
      status === 'sent' && number === 900
        ? new Promise((_, reject) => (refuse = () => reject(coded('blocked'))))
        : answer(given, number, status)
    await turns(100)
    refuse()
    await run
    expect(outcomes.filter(({ isDone }) => !isDone)).toMatchObject([{ number: 900, code: 'blocked' }])
    expect(client.taken.length).toBe(1_000)
  })

  it('is not held up for ever by lines that the outbox refuses', async () => {
    const { client, run } = startPaced(9_000, { user: 'bob' }, { keepsGoing: true })
    client.fault = (drafts) => (drafts.some(({ id }) => id !== undefined && id < 8_100n) ? 'too-large' : undefined)
    await run
    expect(client.taken.length).toBe(1_000)
  })

  it('counts bytes too', async () => {
    const lines = Array.from({ length: 64 }, () => new Uint8Array(1_048_576))
    const pacing = new Pacing({ user: 'bob' })
    expect(pacing.room(lines)).toBe(16)
    pacing.take(16, 16 * 1_048_576)
    expect(pacing.room(lines)).toBe(0)
    pacing.giveUp()
    expect(pacing.room(lines)).toBe(8)
    pacing.pass(16)
    expect(pacing.room(lines)).toBe(16)
  })
})
