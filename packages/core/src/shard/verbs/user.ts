import { codeNumber } from '@posthaste/protocol'
import type { CommandOf } from '../commands.ts'
import { encodeCommand } from '../commands.ts'
import { createUser, removeLog } from '../addresses.ts'
import { type ShardState, shardOfName } from '../state.ts'
import { forward } from './forward.ts'
import { applyMemberJoin } from './group.ts'

/** A user is made, if there is none of that name. */
export function applyUserCreate(state: ShardState, command: CommandOf<'userCreate'>): void {
  const address = state.addresses.get(0, command.user)
  const isNew = address === undefined || address.identity === 0
  state.reply(command, 0, isNew ? createUser(state, command.user) : address.identity, isNew)
}

/** Deletes a user: its sessions end, it leaves its groups, tokens issued until then never re-create it. */
export function applyUserDelete(state: ShardState, command: CommandOf<'userDelete'>): void {
  const removed = removeLog(state, 0, command.user, command.validAfterMs)
  if (removed === undefined) return state.reply(command, codeNumber('not-found'))
  const { identity } = removed
  state.effects.ended.push({ user: identity, code: 'user-removed', validAfterMs: 0 })
  for (const [group, membership] of state.memberships.scan(identity, 0, undefined, Number.MAX_SAFE_INTEGER)) {
    const leave = {
      kind: 'memberJoin',
      tag: 0,
      ref: 0,
      group: membership.name,
      user: identity,
      userName: command.user,
      roles: 0,
      by: 0,
      isFull: false,
    } as const
    const target = shardOfName(1, membership.name, state.shards)
    state.memberships.delete(identity, group)
    if (target === state.index) applyMemberJoin(state, leave)
    else forward(state, target, encodeCommand(leave))
  }
  state.reply(command, 0)
}

/** Tokens issued at or before this time are revoked: by the clock of who issues them, which may be another than the shard's, so that it is not compared with that. */
export function applyRevoke(state: ShardState, command: CommandOf<'revoke'>): void {
  const address = state.addresses.get(0, command.user)
  if (address === undefined || address.identity === 0) return state.reply(command, codeNumber('not-found'))
  state.addresses.touch(0, command.user, address)
  address.validAfterMs = Math.max(address.validAfterMs, command.validAfterMs)
  state.effects.ended.push({ user: address.identity, code: 'token-revoked', validAfterMs: address.validAfterMs })
  state.reply(command, 0, address.validAfterMs)
}

/** A user blocks another, or no longer does. What the blocked one is told of its messages stops where it stands. */
export function applyBlock(state: ShardState, command: CommandOf<'block'>): void {
  const log = state.log(command.user)
  if (log === undefined || log.removedMs > 0) return state.reply(command, codeNumber('not-found'))
  const contact = state.contact(command.user, command.target, command.targetName)
  state.contacts.touch(command.user, command.target, contact)
  if (command.isBlocked && !contact.isBlocked) {
    for (const marks of contact.lanes) {
      if (marks === undefined) continue
      marks.shownDelivered = marks.delivered
      marks.shownRead = marks.read
    }
  }
  const isFreed = !command.isBlocked && contact.isBlocked
  if (command.isBlocked !== contact.isBlocked) state.effects.blocks.push({ user: command.user, target: command.target })
  contact.isBlocked = command.isBlocked
  if (isFreed) {
    for (const [lane, marks] of contact.lanes.entries())
      if (marks !== undefined) state.markMoved(contact, marks, command.user, command.target, lane)
  }
  state.reply(command, 0)
}
