import type { CommandOf } from '../commands.ts'
import { appendEntry } from '../log.ts'
import type { LogRow } from '../../rows/rows.ts'
import type { ShardState } from '../state.ts'

/**
 * A copy of what a user sent, into the user's own log, for the other devices: without key, verdict or receipt. Echoes have a quarter
 * of the log's limit for themselves; past it no further ones are made until the other devices have caught up.
 */
export function applyEcho(state: ShardState, command: CommandOf<'echo'>): void {
  const log = state.log(command.sender)
  if (log === undefined || log.removedMs > 0 || state.clockMs >= command.deadlineMs) return
  if (!hasOthers(log, command.device)) return
  const { inboxEntries, inboxBytes } = state.settings
  if (log.echoes * 4 >= inboxEntries || (log.echoBytes + command.body.length) * 4 > inboxBytes) return
  state.changeLog(command.sender, log)
  appendEntry(state, command.sender, log, command.priority, {
    sender: command.sender,
    senderName: log.name,
    device: command.device,
    count: 0,
    id: command.id,
    type: command.type,
    deadlineMs: command.deadlineMs,
    receipts: false,
    echoTo: { toKind: command.toKind, to: command.to },
    body: command.body,
    members: 0,
  })
}

/** Whether a user has devices beside this one. */
export function hasOthers(log: LogRow | undefined, device: string): boolean {
  if (log === undefined) return false
  for (const { id } of log.devices) if (id !== device) return true
  return false
}
