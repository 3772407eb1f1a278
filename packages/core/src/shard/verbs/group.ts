import { codeNumber, limits } from '@posthaste/protocol'
import { type LogRow, laneCount, type MemberRow, type Stay } from '../../rows/rows.ts'
import type { CommandOf } from '../commands.ts'
import { encodeCommand } from '../commands.ts'
import { type ShardState, shardOfIdentity, shardOfName } from '../state.ts'
import { forward } from './forward.ts'
import { createLog, removeLog } from '../addresses.ts'

const dayMs = 86_400_000
/** How many groups a user may make in a day, UTC: as many as one may ever be in. */
const groupsPerDay = limits.groups
const allRoles = 7
const receiveRole = 2
const adminRole = 4
/** How many stays of one member are remembered: who comes and goes more often loses the oldest. */
const staysMax = 8

/**
 * A group is made. Begins in its maker's shard: has the maker room for one more? Goes on in the group's, where the maker's right to it
 * is judged, like all rights, at the command's place in the order.
 */
export function applyGroupCreate(state: ShardState, command: CommandOf<'groupCreate'>): void {
  const target = shardOfName(1, command.group, state.shards)
  if (command.by !== 0 && shardOfIdentity(command.by, state.shards) === state.index) {
    if (!mayMakeGroup(state, command.by)) return state.reply(command, codeNumber('too-many'))
    if (target !== state.index) return forward(state, target, encodeCommand(command))
  }
  if (command.by !== 0 && !state.settings.usersMayCreateGroups) return state.reply(command, codeNumber('not-allowed'))
  const address = state.addresses.get(1, command.group)
  if (address !== undefined && address.identity !== 0) return state.reply(command, codeNumber('already-exists'))
  const { identity, log } = createLog(state, 1, command.group)
  if (command.by !== 0) setMember(state, identity, log, { user: command.by, name: command.byName, roles: allRoles })
  state.reply(command, 0, identity)
}

/** Whether a user has room for one more group, and has not made too many today: who makes and leaves them leaves their rows behind (I10). Counts it. */
function mayMakeGroup(state: ShardState, user: number): boolean {
  const log = state.log(user)
  if (log === undefined) return true
  const day = Math.floor(state.clockMs / dayMs)
  const made = log.madeDay === day ? log.madeGroups : 0
  if (log.members >= state.settings.groupsPerUser || made >= groupsPerDay) return false
  state.changeLog(user, log)
  log.madeDay = day
  log.madeGroups = made + 1
  return true
}

/** A group is deleted. */
export function applyGroupDelete(state: ShardState, command: CommandOf<'groupDelete'>): void {
  const address = state.addresses.get(1, command.group)
  if (address === undefined || address.identity === 0) return state.reply(command, codeNumber('not-found'))
  if (!mayAdminister(state, address.identity, command.by)) return state.reply(command, codeNumber('not-allowed'))
  removeLog(state, 1, command.group)
  state.reply(command, 0)
}

/** Begins in the user's shard: is there such a user, and has it room for one more group? Who may not know of its groups is not told (I9): the group's shard judges. */
export function applyMemberSet(state: ShardState, command: CommandOf<'memberSet'>): void {
  const address = state.addresses.get(0, command.user)
  if (address === undefined || address.identity === 0) return state.reply(command, codeNumber('invalid-destination'))
  const isFull = (state.log(address.identity) as LogRow).members >= state.settings.groupsPerUser
  const { tag, ref, group, user: userName, roles, by } = command
  const join = { kind: 'memberJoin', tag, ref, group, user: address.identity, userName, roles, by, isFull } as const
  const target = shardOfName(1, group, state.shards)
  if (target === state.index) applyMemberJoin(state, join)
  else forward(state, target, encodeCommand(join))
}

/** Goes on in the group's shard: rights, limits, the member's row. */
export function applyMemberJoin(state: ShardState, command: CommandOf<'memberJoin'>): void {
  const address = state.addresses.get(1, command.group)
  if (address === undefined || address.identity === 0) return state.reply(command, codeNumber('not-found'))
  const log = state.log(address.identity) as LogRow
  const isLeaving = command.by === command.user && command.roles === 0
  if (!isLeaving && !mayAdminister(state, address.identity, command.by)) {
    const isMember = (state.members.get(address.identity, command.by)?.roles ?? 0) !== 0
    return state.reply(command, codeNumber(isMember ? 'not-allowed' : 'not-member'))
  }
  const before = state.members.get(address.identity, command.user)?.roles ?? 0
  if (before === 0 && command.roles === 0) return state.reply(command, 0)
  // Told again all the same: after a restore the user's shard may be older than this one.
  if (before === command.roles)
    tellMembership(state, { user: command.user, group: address.identity, groupName: command.group, roles: before })
  if (before === 0 && (command.isFull || log.members >= state.settings.membersPerGroup))
    return state.reply(command, codeNumber('too-many'))
  setMember(state, address.identity, log, { user: command.user, name: command.userName, roles: command.roles })
  state.reply(command, 0)
}

function mayAdminister(state: ShardState, group: number, by: number): boolean {
  return by === 0 || ((state.members.get(group, by)?.roles ?? 0) & adminRole) !== 0
}

/** Gives a member of a group its roles, 0 for none. The row of who was one stays until the identity of either side ends. */
export function setMember(
  state: ShardState,
  group: number,
  log: LogRow,
  who: { readonly user: number; readonly name: string; readonly roles: number },
): void {
  const member = state.members.get(group, who.user) ?? newMember(state, group, who)
  if (member.roles === who.roles) return
  state.members.touch(group, who.user, member)
  state.changeLog(group, log)
  const received = (member.roles & receiveRole) !== 0
  const receives = (who.roles & receiveRole) !== 0
  if (receives && !received) beginStay(log, member)
  if (received && !receives) endStay(log, member)
  log.receivers += (receives ? 1 : 0) - (received ? 1 : 0)
  if (member.roles === 0) {
    log.members += 1
    // The table has to know of one that is on disk.
    state.memberNames.get(group, who.name)
    state.memberNames.put(group, who.name, { generation: 0, isOnDisk: false, place: 0, identity: who.user })
  } else if (who.roles === 0) {
    log.members -= 1
    // A user of that name that was made since may be a member too: its name stays.
    if (state.memberNames.get(group, who.name)?.identity === who.user) state.memberNames.delete(group, who.name)
  }
  member.roles = who.roles
  tellMembership(state, { user: who.user, group, groupName: log.name, roles: who.roles })
}

function newMember(state: ShardState, group: number, who: { readonly user: number; readonly name: string }): MemberRow {
  state.trace(who.user, group)
  return state.members.put(group, who.user, {
    generation: 0,
    isOnDisk: false,
    place: 0,
    name: who.name,
    roles: 0,
    stays: [],
    lanes: new Array(laneCount).fill(undefined),
    devices: [],
  })
}

function heads(log: LogRow): number[] {
  const found: number[] = []
  for (let lane = 0; lane < laneCount; lane++) found.push(log.lanes[lane]?.head ?? 0)
  return found
}

/** From here on it may read: what came before its join, it never sees. */
function beginStay(log: LogRow, member: MemberRow): void {
  const stay: Stay = { from: heads(log), to: null }
  member.stays.push(stay)
  if (member.stays.length > staysMax) member.stays.shift()
}

function endStay(log: LogRow, member: MemberRow): void {
  const last = member.stays[member.stays.length - 1] as Stay
  last.to = heads(log)
}

/** Ends in the user's shard: the user's list of groups, and a word to the user's sessions. */
function tellMembership(
  state: ShardState,
  change: { readonly user: number; readonly group: number; readonly groupName: string; readonly roles: number },
): void {
  const command = { kind: 'membership', ...change } as const
  const home = shardOfIdentity(change.user, state.shards)
  if (home === state.index) applyMembership(state, command)
  else forward(state, home, encodeCommand(command))
}

/** A user's rights in a group have changed. A user that is deleted meanwhile leaves again, and so does one whose last room was taken. */
export function applyMembership(state: ShardState, command: CommandOf<'membership'>): void {
  const { user, group, groupName, roles } = command
  const log = state.log(user)
  const row = state.memberships.get(user, group)
  if (log !== undefined) state.changeLog(user, log)
  if (roles === 0) {
    if (row !== undefined && log !== undefined) log.members -= 1
    state.memberships.delete(user, group)
  } else if (row === undefined) {
    if (log === undefined) return
    const isFull = log.members >= state.settings.groupsPerUser
    if (log.removedMs > 0 || isFull) return leaveAgain(state, command, log.name)
    log.members += 1
    state.memberships.put(user, group, { generation: 0, isOnDisk: false, place: 0, name: groupName, roles })
  } else {
    state.memberships.touch(user, group, row)
    row.roles = roles
  }
  state.effects.memberships.push({ user, group, name: groupName, roles })
}

function leaveAgain(state: ShardState, command: CommandOf<'membership'>, userName: string): void {
  const { user, groupName: group } = command
  const leave = { kind: 'memberJoin', tag: 0, ref: 0, group, user, userName, roles: 0, by: 0, isFull: false } as const
  const target = shardOfName(1, group, state.shards)
  if (target === state.index) applyMemberJoin(state, leave)
  else forward(state, target, encodeCommand(leave))
}
