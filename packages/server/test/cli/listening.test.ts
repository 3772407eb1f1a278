import { describe, expect, it } from 'vitest'
import { CliError } from '../../src/cli/exit-codes.ts'
import { Listening } from '../../src/cli/listening.ts'
import { messageOf } from './received.ts'

describe('listening', () => {
  it('writes one message at a time, in the order in which they came', async () => {
    const log: string[] = []
    const listening = new Listening(
      async ({ key }) => {
        log.push(`+${key}`)
        await new Promise((resolve) => setImmediate(resolve))
        log.push(`-${key}`)
      },
      Number.POSITIVE_INFINITY,
      () => {},
    )
    await Promise.all(['a', 'b', 'c'].map((key) => listening.take(messageOf({ key }))))
    expect(log).toEqual(['+a', '-a', '+b', '-b', '+c', '-c'])
  })

  it('ends after its count, and acknowledges not one more', async () => {
    const written: string[] = []
    const listening = new Listening(
      async ({ key }) => void written.push(key),
      2,
      () => {},
    )
    const results = await Promise.allSettled(['a', 'b', 'c'].map((key) => listening.take(messageOf({ key }))))
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected'])
    expect(written).toEqual(['a', 'b'])
    expect(await listening.ended).toBeUndefined()
    expect(listening.decide(new Error('ended'), 1)).toBe('stop')
  })

  it('counts only what was written', async () => {
    let fails = true
    const listening = new Listening(
      async () => {
        if (fails) throw new CliError('failed', 'no')
      },
      1,
      () => {},
    )
    await expect(listening.take(messageOf({}))).rejects.toThrow('no')
    expect(listening.written).toBe(0)
    fails = false
    await listening.take(messageOf({}))
    expect(await listening.ended).toBeUndefined()
    expect(listening.written).toBe(1)
  })

  it('has a failed message tried again, twice as late each time, up to a minute, and says so', () => {
    const notes: string[] = []
    const listening = new Listening(
      async () => {},
      1,
      (text) => notes.push(text),
    )
    const delays = [1, 2, 3, 8, 9, 100].map((attempt) =>
      listening.decide(new CliError('failed', '--exec ended with exit code 3'), attempt),
    )
    expect(delays).toEqual([500, 1_000, 2_000, 60_000, 60_000, 60_000].map((retryInMs) => ({ retryInMs })))
    expect(notes[0]).toBe('--exec ended with exit code 3. Not acknowledged; trying again in 0.5 s.')
  })

  it('ends when nobody reads the output any more', async () => {
    const listening = new Listening(
      async () => {},
      1,
      () => {},
    )
    expect(listening.decide(new CliError('output-closed', 'closed'), 1)).toBe('stop')
    expect(await listening.ended).toMatchObject({ code: 'output-closed' })
  })

  it('finishes what is being written before it ends', async () => {
    let finish = () => {}
    const listening = new Listening(
      () => new Promise((resolve) => (finish = resolve)),
      9,
      () => {},
    )
    const taking = listening.take(messageOf({}))
    await new Promise((resolve) => setImmediate(resolve))
    let isOver = false
    listening.end(undefined)
    listening.ended.then(() => (isOver = true))
    await new Promise((resolve) => setImmediate(resolve))
    expect(isOver).toBe(false)
    finish()
    await taking
    await listening.ended
    expect(listening.written).toBe(1)
  })
})
