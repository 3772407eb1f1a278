import type { Received } from '../../src/cli/sinks.ts'

/** A received message, with what a test cares about. */
export function messageOf(given: Partial<Received> & { text?: string }): Received {
  const { text = 'hello', ...rest } = given
  return {
    key: '7-3-42',
    id: 42n,
    from: { user: 'alice' },
    to: { user: 'bob' },
    timeMs: 1_700_000_000_123,
    type: 5,
    priority: 8,
    body: Buffer.from(text, 'utf8'),
    redelivered: false,
    ...rest,
  }
}
