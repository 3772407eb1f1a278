import { codeNumber } from '@posthaste/protocol'
import { type Device, type LogRow, laneCount, type MemberRow } from '../../rows/rows.ts'
import type { CommandOf } from '../commands.ts'
import { earlier, setDue, trimLane } from '../log.ts'
import { knownCursors, type LaneCursor, pass, type Reader, setCursors, unconfirmed } from '../settling.ts'
import { deviceIndex, newDevice, type ShardState, seenMs } from '../state.ts'
import { createUser } from '../addresses.ts'

const dayMs = 86_400_000
/** How many devices a member's row keeps that its user no longer has: with each more an earlier one's last word is not settled, which can only hide deliveries. */
const unsettledOthersMax = 16

/** A device has connected: its user is made if new, its slot found or made, its cursors set to what it says. */
export function applySession(state: ShardState, command: CommandOf<'session'>): void {
  const told = { tag: command.tag, device: command.device, session: command.session }
  const address = state.addresses.get(0, command.user)
  if (address !== undefined && command.issuedAtMs <= address.validAfterMs) {
    state.effects.sessions.push({ ...told, code: codeNumber('token-revoked'), log: 0, user: 0 })
    return
  }
  const identity = address === undefined || address.identity === 0 ? createUser(state, command.user) : address.identity
  const log = state.log(identity) as LogRow
  state.changeLog(identity, log)
  const isNew = deviceIndex(log.devices, command.device) < 0
  const slot = slotOf(state, log, identity, command)
  if (typeof slot === 'number') {
    state.effects.sessions.push({ ...told, code: slot, log: identity, user: identity })
    return
  }
  const isSameEpoch = command.epoch === state.meta.epoch
  const known = command.log === identity ? command.cursors : []
  setCursors(log, slot, known, isSameEpoch)
  const reader = { identity, log, user: identity, member: undefined, device: slot }
  if (isSameEpoch) passAll(state, reader, knownCursors(log, known), command.tag, isNew)
  setDue(state, identity, log, state.clockMs + state.settings.deviceDays * dayMs)
  state.effects.sessions.push({ ...told, code: 0, log: identity, user: identity })
}

/**
 * Passes what a device says in HELLO, and confirms its ranges.
 * @param isNew whether it has lost its slot, or never had one: it names no ranges that were confirmed to it before, and the slot that knew
 * them is gone, so that nothing of what it passed counts as stored now; what it told while it had the slot was counted then
 */
function passAll(state: ShardState, reader: Reader, cursors: readonly LaneCursor[], tag: number, isNew: boolean): void {
  let rows = state.pace.commandRows
  for (const cursor of cursors) {
    const said = isNew ? { ...cursor, notStored: [{ from: 1, to: cursor.seq }] } : unconfirmed(reader.device, cursor)
    rows -= pass(state, reader, said, rows)
    if (cursor.notStored.length > 0) state.effects.acked.push({ tag, log: reader.identity, lane: cursor.lane, upTo: cursor.seq })
  }
}

/** The device's slot with its new session, or the number of the code that refuses it. */
function slotOf(state: ShardState, log: LogRow, identity: number, command: CommandOf<'session'>): Device | number {
  const found = log.devices[deviceIndex(log.devices, command.device)]
  if (found !== undefined) {
    if (command.session <= found.session) return codeNumber('stale-session')
    found.session = command.session
    found.incarnation = state.meta.incarnation
    found.seenMs = state.clockMs
    return found
  }
  // More than one goes where the limit was lowered.
  while (log.devices.length >= state.settings.devicesPerUser)
    if (!dropLongestUnseen(state, log, identity)) return codeNumber('too-many-devices')
  const starts: number[] = []
  for (let lane = 0; lane < laneCount; lane++) starts.push(log.lanes[lane]?.trim ?? 0)
  const device = newDevice(command.device, command.session, state.meta.incarnation, state.clockMs, starts)
  log.devices.push(device)
  return device
}

/** Drops the offline device that was seen longest ago; false when all are online, or have said what is not settled yet. */
function dropLongestUnseen(state: ShardState, log: LogRow, identity: number): boolean {
  let least: Device | undefined
  for (const device of log.devices) {
    const isInUse = device.incarnation === state.meta.incarnation || device.unsettled.length > 0
    if (!isInUse && (least === undefined || seenMs(state, device) < seenMs(state, least))) least = device
  }
  if (least === undefined) return false
  dropDevice(log, least.id)
  // What it held back goes before another one begins at the trim point; what is more than a few rows, the other one gets.
  for (let lane = 0; lane < laneCount; lane++) trimLane(state, identity, log, lane)
  return true
}

/** Whoever calls it trims what the device held back. It has no session to be told: only who is offline is dropped. */
function dropDevice(log: LogRow, id: string): void {
  log.devices = log.devices.filter((device) => device.id !== id)
}

/** Drops the devices that were not seen for too long; gives the time at which the next one is due, 0 for none. The log must be touched. */
export function dropUnseen(state: ShardState, log: LogRow): number {
  let next = 0
  for (const device of [...log.devices]) {
    // A connected one is seen now.
    const endMs = seenMs(state, device) + state.settings.deviceDays * dayMs
    if (endMs <= state.clockMs && device.unsettled.length === 0) dropDevice(log, device.id)
    else next = earlier(next, Math.max(endMs, state.clockMs + 1))
  }
  return next
}

/** A device has disconnected. */
export function applySessionEnd(state: ShardState, command: CommandOf<'sessionEnd'>): void {
  const log = state.log(command.user)
  if (log === undefined) return
  const device = log.devices[deviceIndex(log.devices, command.device)]
  if (device === undefined || device.session !== command.session) return
  state.changeLog(command.user, log)
  device.incarnation = 0
  device.seenMs = state.clockMs
}

/** A connected device begins to read a group's log, from its cursors, or when it is new from its member's mark. */
export function applyAttach(state: ShardState, command: CommandOf<'attach'>): void {
  const { group, user } = command
  const log = state.log(group)
  const member = state.members.get(group, user)
  if (log === undefined || member === undefined || log.removedMs > 0) return
  const found = member.devices[deviceIndex(member.devices, command.device)]
  if (found !== undefined && command.session < found.session) return
  state.members.touch(group, user, member)
  state.changeLog(group, log)
  // The group's shard is not told of devices that the user no longer has: whichever of the others comes next says which are left.
  const isUsers = ({ id }: Device): boolean => id === command.device || command.devices.includes(id)
  // Of the others the last few may still have said something that is not settled.
  const others = member.devices.filter((device) => !isUsers(device) && device.unsettled.length > 0).slice(-unsettledOthersMax)
  member.devices = member.devices.filter((device) => isUsers(device) || others.includes(device))
  const device = found ?? newReader(state, member, command)
  device.session = command.session
  device.incarnation = state.meta.incarnation
  device.seenMs = state.clockMs
  const isSameEpoch = command.epoch === state.meta.epoch
  setCursors(log, device, command.cursors, isSameEpoch)
  const reader = { identity: group, log, user, member, device }
  if (isSameEpoch) passAll(state, reader, knownCursors(log, command.cursors, member), command.tag, found === undefined)
  state.effects.sessions.push({ tag: command.tag, code: 0, log: group, user, device: command.device, session: command.session })
}

/** A new device's place in a group's log. */
function newReader(state: ShardState, member: MemberRow, command: CommandOf<'attach'>): Device {
  const starts: number[] = []
  for (let lane = 0; lane < laneCount; lane++)
    starts.push(Math.max(member.lanes[lane]?.delivered ?? 0, member.stays[0]?.from[lane] ?? 0))
  const device = newDevice(command.device, command.session, state.meta.incarnation, state.clockMs, starts)
  member.devices.push(device)
  return device
}
