import type { CommandOf } from '../commands.ts'
import { pass, read, readerOf } from '../settling.ts'
import type { ShardState } from '../state.ts'

/** A device has durably passed everything up to `upTo`. Ignored from a session that a newer one has replaced. */
export function applyAck(state: ShardState, command: CommandOf<'ack'>): void {
  const { tag, log, user, lane, upTo, notStored } = command
  const reader = readerOf(state, log, user, command.device)
  if (reader === undefined || reader.device.session !== command.session) return
  pass(state, reader, { lane, seq: upTo, notStored }, state.pace.commandRows)
  if (notStored.length > 0) state.effects.acked.push({ tag, log, lane, upTo })
}

/** A user's app has read up to a message, which this device must have passed. */
export function applyRead(state: ShardState, command: CommandOf<'read'>): void {
  const reader = readerOf(state, command.log, command.user, command.device)
  if (reader !== undefined && reader.device.session === command.session) read(state, reader, command)
}
