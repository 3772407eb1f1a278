import { expect, it } from 'vitest'
import { verdictText } from '../../src/cli/verdict.ts'

const [bob, team] = [{ user: 'bob' }, { group: 'team' }]

it.each([
  ['invalid-destination', bob, "There is no user 'bob'."],
  ['invalid-destination', team, "There is no group 'team'."],
  ['blocked', bob, "'bob' has blocked the sender."],
  ['inbox-full', bob, "'bob' holds as many undelivered messages as it may."],
  ['not-member', team, "The sender is not a member of 'team'."],
  ['not-allowed', team, "The sender lacks the right to send to 'team'."],
  ['removed', team, "'team' was deleted while the message waited."],
  ['expired', bob, "The deadline passed and no device of 'bob' has said that it stored the message."],
  ['conflict', bob, 'A message with the same key but other content came before. The first one stays.'],
  ['too-large', bob, 'The body has 70000 bytes, more than the server allows (65536 unless it is set otherwise).'],
  ['store-failed', bob, undefined],
] as const)('says of %s to %o why', (code, to, text) => expect(verdictText(code, to, 70_000)).toBe(text))

it('names the limit of the server once that is known', () =>
  expect(verdictText('too-large', bob, 70_000, 50_000)).toBe('The body has 70000 bytes, more than the server allows (50000).'))
