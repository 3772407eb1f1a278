import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DrainQueue } from '../../src/machine/drainQueue.ts'
import { newMessage, type OutboxMessage } from '../../src/machine/outboxMessage.ts'

/** A message by its place in the outbox, in one of two lanes at either end. */
function messageOf(order: number): OutboxMessage {
  const priority = order % 3 === 0 ? 0 : 15
  const draft = {
    id: undefined,
    to: 'bob',
    toKind: 0,
    type: 0,
    priority,
    expirySeconds: 60,
    receipts: true,
    body: Uint8Array.of(1),
  } as const
  return newMessage(draft, BigInt(order + 1), order, 0, 0)
}

/** What waits, looked through anew for each question. */
class PlainQueue {
  waiting: OutboxMessage[] = []

  add(message: OutboxMessage): void {
    if (!this.waiting.includes(message)) this.waiting.push(message)
  }

  first(): OutboxMessage | undefined {
    for (const lane of [0, 15]) {
      const ofLane = this.waiting.filter(({ priority }) => priority === lane).sort((left, right) => left.order - right.order)
      const first = ofLane.find(({ body }) => body !== undefined)
      // What has ended before it is passed.
      this.waiting = this.waiting.filter(
        (one) => !ofLane.slice(0, first === undefined ? undefined : ofLane.indexOf(first)).includes(one),
      )
      if (first !== undefined && first.deadlineMs > 0) return first
    }
    return undefined
  }
}

const step = fc.record({
  kind: fc.constantFrom('add', 'add', 'add', 'take', 'take', 'end', 'ready', 'ready', 'clear'),
  order: fc.nat({ max: 40 }),
})

describe('what waits to be sent', () => {
  it('[I4] comes by priority, within it as written, whatever is taken, ends, returns or is given up', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 120, size: 'max' }), (steps) => {
        const messages = Array.from({ length: 41 }, (_, order) => messageOf(order))
        const queue = new DrainQueue()
        const plain = new PlainQueue()
        for (const { kind, order } of steps) {
          const message = messages[order] as OutboxMessage
          if (kind === 'add') for (const one of [queue, plain]) one.add(message)
          else if (kind === 'end') message.body = undefined
          else if (kind === 'ready') message.deadlineMs = 1
          else if (kind === 'clear' && order === 0) {
            queue.clear()
            plain.waiting = []
          }
          const first = queue.first(({ deadlineMs }) => deadlineMs > 0)
          expect(first?.order).toBe(plain.first()?.order)
          if (kind === 'take' && first !== undefined) {
            queue.shift(first)
            plain.waiting = plain.waiting.filter((one) => one !== first)
          }
          for (const one of messages) if (one.isQueued !== plain.waiting.includes(one)) expect.fail(`message ${one.order}`)
        }
      }),
      { seed: 5, numRuns: Number(process.env.RUNS ?? 200) },
    )
  })

  it('is nothing once it is cleared, and may be added again', () => {
    const queue = new DrainQueue()
    const messages = [0, 1, 2, 3].map(messageOf)
    for (const message of messages) queue.add(message)
    queue.clear()
    expect([queue.first(() => true), ...messages.map(({ isQueued }) => isQueued)]).toEqual([
      undefined,
      false,
      false,
      false,
      false,
    ])
    for (const message of messages) queue.add(message)
    const order = messages.map(() => {
      const first = queue.first(() => true)
      if (first !== undefined) queue.shift(first)
      return first?.order
    })
    expect(order).toEqual([0, 3, 1, 2])
  })
})
