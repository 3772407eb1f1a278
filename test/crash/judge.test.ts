import { describe, expect, it } from 'vitest'
import { bodyOf, type Note } from './history.ts'
import { type DeviceHistory, judge, type SenderHistory } from './judge.ts'

const lane = 3
const handled = (id: number, isRedelivered = false, key = `9-7-${id}`, body = bodyOf('s', 'r', lane, id)): Note => [
  'handled',
  key,
  body,
  lane,
  isRedelivered,
]

/** Three messages that were sent, one of whose ids was used again, and that came; the receiver was killed once. */
function sound(): { senderNotes: Note[]; deviceNotes: Note[]; device: DeviceHistory; sender: SenderHistory } {
  const senderNotes: Note[] = [
    ['run', 1],
    ['attempt', 1, 'r', lane],
    ['attempt', 2, 'r', lane],
    ['attempt', 3, 'r', lane],
    ['written', 1, 3],
    ['status', 1, 'sent'],
    ['status', 1, 'delivered'],
    ['status', 2, 'sent'],
    ['impostor', 2],
    ['status', 2, 'conflict'],
  ]
  const deviceNotes: Note[] = [['run', 1], handled(1), handled(2), ['run', 2], handled(2, true), handled(3)]
  const storedKeys = ['9-7-1', '9-7-2', '9-7-3']
  const device = { name: 'r', destinations: ['r'], notes: deviceNotes, storedKeys, inboxCount: 0 }
  return { senderNotes, deviceNotes, device, sender: { name: 's', notes: senderNotes } }
}

type Sound = ReturnType<typeof sound>

const corruptions: readonly (readonly [string, string, (history: Sound) => DeviceHistory | undefined])[] = [
  ['a message that was told sent is lost', '[I1] 1 from s was told sent', ({ deviceNotes }) => void deviceNotes.splice(1, 1)],
  ['a message in an outbox is lost', '[I1] 3 from s was in its outbox', ({ deviceNotes }) => void deviceNotes.pop()],
  ['a message comes twice', '[I2] 3 from s came twice', ({ deviceNotes }) => void deviceNotes.push(handled(3))],
  ['a message comes again in one run', '[I2] 3 from s came twice', ({ deviceNotes }) => void deviceNotes.push(handled(3, true))],
  ['a message has two keys', 'under two keys', ({ deviceNotes }) => void deviceNotes.push(handled(3, false, '9-7-30'))],
  ['two messages change places', '[I4] 1 from s', ({ deviceNotes }) => void deviceNotes.splice(1, 2, handled(2), handled(1))],
  ['a message is invented', 'is invented', ({ deviceNotes }) => void deviceNotes.push(handled(4))],
  ['an impostor comes', 'is invented', ({ deviceNotes }) => void deviceNotes.push(handled(2, false, '9-7-20', 'an impostor'))],
  ['a status falls', '[I6] the status of 1', ({ senderNotes }) => void senderNotes.push(['status', 1, 'sent'])],
  ['a message expires', '[I1] s was told expired', ({ senderNotes }) => void senderNotes.push(['status', 3, 'expired'])],
  ['a conflict is invented', '[I8] s was told conflict', ({ senderNotes }) => void senderNotes.push(['status', 3, 'conflict'])],
  ['a status has no message', '[I6] s was told sent of 9', ({ senderNotes }) => void senderNotes.push(['status', 9, 'sent'])],
  ['the store lost what was handled', 'not in the store', ({ device }) => ({ ...device, storedKeys: ['9-7-1', '9-7-2'] })],
  [
    'the store has what was never handled',
    'never handled',
    ({ device }) => ({ ...device, storedKeys: [...device.storedKeys, '9-7-8'] }),
  ],
  ['a message stays in the inbox', '[I1] 1 messages wait', ({ device }) => ({ ...device, inboxCount: 1 })],
]

describe('the judge of real processes', () => {
  it('finds nothing in a sound history, and counts it', () => {
    const { sender, device } = sound()
    expect(judge([sender], [device])).toEqual({ faults: [], acknowledged: 2, handled: 3, redelivered: 1, conflicts: 1 })
  })

  it.each(corruptions)('notices that %s', (_name, fault, corrupt) => {
    const history = sound()
    const device = corrupt(history) ?? history.device
    expect(judge([history.sender], [device]).faults).toEqual(expect.arrayContaining([expect.stringContaining(fault)]))
  })
})
