import { describe, expect, it } from 'vitest'
import type { Entry } from '../../src/machine/events.ts'
import { Message, RealtimeMessage } from '../../src/message.ts'

const entry: Entry = {
  position: { epoch: 7, log: 100, lane: 8, seq: 3 },
  sender: 200,
  count: 3,
  senderName: 'bob',
  toKind: 0,
  to: 'alice',
  id: 9n,
  type: 0,
  timeMs: 1_800_000_000_000,
  deadlineMs: 1_800_000_060_000,
  receipts: true,
  body: Uint8Array.of(1, 2, 3),
}

describe('a message', () => {
  it('has bytes of its own: what one handler or observer does to them, the next one does not see', () => {
    const [first, second] = [new Message(entry, false, false), new Message(entry, true, false)]
    first.body.fill(0)
    structuredClone(second.body, { transfer: [second.body.buffer] })
    expect(new Message(entry, true, false).body).toEqual(Uint8Array.of(1, 2, 3))
    const realtime = { ...entry, priority: 8 }
    new RealtimeMessage(realtime).body.fill(0)
    expect(new RealtimeMessage(realtime).body).toEqual(Uint8Array.of(1, 2, 3))
  })

  it.each([false, true])('has a key that is not the one of a later message under its id: outgoing %s', (isOutgoing) => {
    const keyOf = (fields: Partial<Entry>): string => new Message({ ...entry, ...fields }, false, isOutgoing).key
    expect(keyOf({ deadlineMs: entry.deadlineMs + 86_400_001 })).not.toBe(keyOf({}))
    expect(keyOf({ position: { ...entry.position, seq: 4 } })).toBe(keyOf({}))
  })
})
