import { describe, expect, it } from 'vitest'
import { Output } from '../../src/cli/output.ts'
import { SendReport } from '../../src/cli/send-report.ts'
import type { Outcome, SendPlan } from '../../src/cli/sending.ts'
import { fakeIo } from './fake-io.ts'

const draft = { to: { user: 'bob' }, type: 0, priority: 8, expirySeconds: 60, receipts: true }
const plan: SendPlan = { draft, idOf: () => undefined, wait: 'sent', keepsGoing: true, pacing: undefined }
const sent = (number: number): Outcome => ({ number, id: BigInt(number), isDone: true, code: 'sent', message: '' })
const failed = (number: number, code: string): Outcome => ({ number, id: BigInt(number), isDone: false, code, message: 'Why' })

async function report(options: { isJson?: boolean; isLines?: boolean; isTerminal?: boolean }, outcomes: readonly Outcome[]) {
  const io = fakeIo({ isTerminal: options.isTerminal === true, env: { NO_COLOR: '1' } })
  const made = new SendReport(new Output(io, options.isJson === true), plan, options.isLines !== false, () => {})
  for (const outcome of outcomes) made.add(outcome)
  await made.written()
  const code = made.finish()
  return { code, printed: io.printed(), told: io.told() }
}

const many = Array.from({ length: 1_000 }, (_, at) => sent(at + 1))

describe("a run's report", () => {
  it('is its status and id for a single message', async () => {
    expect(await report({ isLines: false }, [sent(7)])).toEqual({ code: 0, printed: 'sent 7\n', told: '' })
  })

  it('is a count for lines', async () => {
    expect(await report({}, many)).toEqual({ code: 0, printed: '', told: '1,000 messages sent.\n' })
    expect(await report({}, [])).toEqual({ code: 0, printed: '', told: '0 messages sent.\n' })
  })

  it('shows progress on a terminal alone, and clears it away', async () => {
    const { told } = await report({ isTerminal: true }, many)
    expect(told).toContain('\r\u001b[K256 sent')
    expect(told.endsWith('\r\u001b[K1,000 messages sent.\n')).toBe(true)
  })

  it('has the code of the first failure, names the lines, and only counts them after the tenth', async () => {
    const failures = [failed(1, 'expired'), ...Array.from({ length: 14 }, (_, at) => failed(at + 2, 'blocked'))]
    const { code, told } = await report({}, [sent(100), ...failures])
    expect(code).toBe(3)
    expect(told).toContain('line 1: expired: Why\n')
    expect(told).toContain('line 10: blocked: Why\n')
    expect(told).not.toContain('line 11')
    expect(told).toContain('1 message sent, 15 failed, the first at line 1.')
  })

  it('is a line of JSON for each message with --json', async () => {
    const { code, printed, told } = await report({ isJson: true }, [sent(1), failed(2, 'conflict')])
    expect([code, told]).toEqual([16, ''])
    expect(
      printed
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { line: 1, id: '1', to: { user: 'bob' }, status: 'sent' },
      { line: 2, id: '2', to: { user: 'bob' }, status: 'conflict', message: 'Why' },
    ])
  })

  it('names what was left open: for people the first ten, with --json all', () => {
    const open = Array.from({ length: 12 }, (_, at) => ({ number: at + 3, id: BigInt(at + 100), status: 'sent' }))
    const leave = (isJson: boolean, isLines: boolean, left: Parameters<SendReport['leave']>[0]) => {
      const io = fakeIo({ env: { NO_COLOR: '1' } })
      new SendReport(new Output(io, isJson), plan, isLines, () => {}).leave(left)
      return { printed: io.printed().trimEnd().split('\n'), told: io.told().trimEnd().split('\n') }
    }
    const people = leave(false, true, open)
    expect([people.printed, people.told.length]).toEqual([[''], 11])
    expect([people.told[0], people.told[10]]).toEqual(['Still open: line 3, id 100, sent.', 'Still open: 2 more.'])
    expect(leave(false, false, open.slice(0, 1)).told).toEqual(['Still open: id 100, sent.'])
    expect(leave(false, false, [{ number: 1, id: undefined, status: 'unknown' }]).told).toEqual(['Still open: unknown.'])
    const json = leave(true, true, open).printed.map((line) => JSON.parse(line))
    expect([json.length, json[0]]).toEqual([12, { line: 3, id: '100', to: { user: 'bob' }, status: 'sent', isOpen: true }])
  })

  it('is written once all of it is, and says at once when nobody reads it any more', async () => {
    const io = fakeIo()
    const taken: ((error?: Error) => void)[] = []
    io.stdout.write = ((_line: string, done: (error?: Error) => void) => taken.push(done)) as never
    const failures: unknown[] = []
    const made = new SendReport(new Output(io, true), plan, true, (error) => failures.push(error))
    made.add(sent(1))
    made.add(sent(2))
    let isWritten = false
    made.written().then(() => (isWritten = true))
    taken[0]?.()
    await new Promise((resolve) => setImmediate(resolve))
    expect([isWritten, failures]).toEqual([false, []])
    taken[1]?.(new Error('EPIPE'))
    await new Promise((resolve) => setImmediate(resolve))
    expect([isWritten, failures]).toEqual([true, [expect.objectContaining({ code: 'output-closed' })]])
  })
})
