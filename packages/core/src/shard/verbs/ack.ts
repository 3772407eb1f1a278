import { entryKey } from '../../rows/rows.ts'
import type { CommandOf } from '../commands.ts'
import { isStubOver } from '../log.ts'
import { isMissed, mayRead, passGroup, passOwn, tellCounts } from '../passing.ts'
import { deviceIndex, memberLane, type ShardState } from '../state.ts'

/** A device has durably passed everything up to `upTo`. Ignored from a session that a newer one has replaced. */
export function applyAck(state: ShardState, command: CommandOf<'ack'>): void {
  const { log: identity, user, lane, upTo, notStored } = command
  const log = state.log(identity)
  if (log === undefined || log.removedMs > 0) return
  if (identity === user) {
    const device = log.devices[deviceIndex(log.devices, command.device)]
    if (device === undefined || device.session !== command.session) return
    state.changeLog(identity, log)
    passOwn(state, identity, log, device, lane, upTo, notStored)
  } else {
    const member = state.members.get(identity, user)
    const device = member?.devices[deviceIndex(member.devices, command.device)]
    if (member === undefined || device === undefined || device.session !== command.session) return
    state.members.touch(identity, user, member)
    state.changeLog(identity, log)
    passGroup(state, identity, log, { identity: user, member, device }, lane, upTo, notStored)
  }
  if (notStored.length > 0) state.effects.acked.push({ tag: command.tag, log: identity, lane, upTo })
}

/** A user's app has read up to a message, which this device must have passed. */
export function applyRead(state: ShardState, command: CommandOf<'read'>): void {
  const log = state.log(command.log)
  if (log === undefined || log.removedMs > 0) return
  if (command.log === command.user) readOwn(state, command)
  else readGroup(state, command)
}

function readOwn(state: ShardState, command: CommandOf<'read'>): void {
  const { log: identity, lane, sender } = command
  const log = state.log(identity)
  const device = log?.devices[deviceIndex(log.devices, command.device)]
  if (device === undefined || device.session !== command.session || (device.cursors[lane] ?? 0) < command.seq) return
  const contact = state.contacts.get(identity, sender)
  const marks = contact?.lanes[lane]
  if (contact === undefined || marks === undefined) return
  const mark = Math.min(command.count, marks.delivered)
  if (mark > marks.read) {
    state.contacts.touch(identity, sender, contact)
    marks.read = mark
    state.markMoved(contact, marks, identity, sender, lane)
  }
  state.effects.readMarks.push({ user: command.user, log: identity, lane, sender, mark: marks.read })
}

function readGroup(state: ShardState, command: CommandOf<'read'>): void {
  const { log: group, user, lane } = command
  const member = state.members.get(group, user)
  const device = member?.devices[deviceIndex(member.devices, command.device)]
  if (member === undefined || device === undefined || device.session !== command.session) return
  state.members.touch(group, user, member)
  const done = memberLane(member, lane)
  const mark = Math.min(command.seq, done.delivered, device.cursors[lane] ?? 0)
  const sweptSeq = state.log(group)?.lanes[lane]?.sweptSeq ?? 0
  for (let seq = Math.max(done.read, sweptSeq) + 1; seq <= mark; seq++) {
    const entry = state.entries.get(group, entryKey(lane, seq))
    if (entry === undefined || entry.sender === user || isStubOver(state, entry)) continue
    if (isMissed(member, lane, seq) || !mayRead(member, lane, seq)) continue
    state.entries.touch(group, entryKey(lane, seq), entry)
    entry.read += 1
    tellCounts(state, group, entry)
  }
  if (mark > done.read) done.read = mark
  state.effects.readMarks.push({ user, log: group, lane, sender: 0, mark: done.read })
}
