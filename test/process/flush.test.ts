import { readFileSync } from 'node:fs'
import { statusByNumber } from '@posthaste/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { programPath } from '../cli/program.ts'
import { Place, until } from './place.ts'
import { RawClient, sendPacket } from './raw.ts'
import { callsOf, flushFaults, type SystemCall, straceArguments } from './trace.ts'

let place: Place
beforeEach(() => {
  place = new Place()
})
afterEach(() => place.end())

const marks = Array.from({ length: 50 }, (_, at) => `flush-proof-${String(at + 1).padStart(4, '0')}`)

/** Runs a server under strace, sends messages one at a time, and gives the system calls that it made. */
async function traceOfSends(): Promise<readonly SystemCall[]> {
  const path = place.ground.path('trace')
  const line = ['strace', ...straceArguments(path), process.execPath, programPath, ...(await place.serverArguments())]
  const server = place.ground.shell(`exec ${line.map((word) => `'${word}'`).join(' ')}`)
  await server.until('"event":"next"')
  const raw = await RawClient.join(place.url, place.token('alice'))
  for (const [at, mark] of marks.entries()) {
    raw.send(sendPacket(at + 1, { body: Buffer.from(mark) }))
    expect(statusByNumber((await raw.take('result')).status)).toBe('sent')
  }
  server.child.kill('SIGTERM')
  await server.ended
  const text = () => readFileSync(path, 'latin1')
  await until(
    () => /\+\+\+ exited/.test(text().slice(-2_000)),
    () => 'the trace does not end',
  )
  return callsOf(text())
}

/** The same calls, with each write to a socket moved to the moment after the last read from one. */
function answeredAtOnce(calls: readonly SystemCall[]): SystemCall[] {
  let readAt = 0
  return calls.map((call) => {
    if (call.isSocket && call.name === 'read') readAt = call.endedAt
    const isAnswer = call.isSocket && call.name !== 'read'
    return isAnswer ? { ...call, startedAt: readAt + 0.5, endedAt: readAt + 0.5 } : call
  })
}

describe('the system calls of a server', () => {
  it('[I1] [I6] show that each message was flushed to the journal before its sender was told sent', {
    timeout: 60_000,
  }, async () => {
    const calls = await traceOfSends()
    expect(flushFaults(calls, marks)).toEqual([])
    // The check itself can fail: with writes that end before the disk has them, or with answers that come before their end.
    const withoutFlushes = calls.map((call) => ({ ...call, isSynchronous: false }))
    const all = marks.map((mark) => `${mark}: not on disk in the journal`)
    expect(flushFaults(withoutFlushes, marks)).toEqual(all)
    expect(flushFaults(answeredAtOnce(calls), marks)).toEqual(all)
  })
})
