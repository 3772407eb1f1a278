import type { Command, CommandOf } from '../commands.ts'
import { decodeCommand } from '../commands.ts'
import type { ShardState } from '../state.ts'

/** Commands for other shards: a numbered queue per target, kept until the target has applied them. */

/** Puts a command into the queue of another shard. */
export function forward(state: ShardState, target: number, command: Uint8Array): void {
  const meta = state.changeMeta()
  const number = (meta.forwarded[target] ?? 0) + 1
  meta.forwarded[target] = number
  state.forwards.put(target, number, { generation: 0, isOnDisk: false, place: 0, bytes: command })
  state.effects.forwards.push({ target, number, command })
}

/** Applies what another shard forwarded: only the next number of that shard and epoch. */
export function applyForwarded(state: ShardState, command: CommandOf<'forwarded'>, apply: (command: Command) => void): void {
  const source =
    state.sources.get(0, command.source) ??
    state.sources.put(0, command.source, { generation: 0, isOnDisk: false, place: 0, epoch: command.epoch, number: 0 })
  state.sources.touch(0, command.source, source)
  if (command.epoch > source.epoch) source.epoch = command.epoch
  if (command.epoch === source.epoch && command.number === source.number + 1) {
    source.number = command.number
    apply(decodeCommand(command.command))
  }
  if (command.number <= source.number) state.effects.forwardsApplied.push({ source: command.source, number: command.number })
}

/** The target has applied our commands up to this number. */
export function applyForwardDone(state: ShardState, command: CommandOf<'forwardDone'>): void {
  const meta = state.changeMeta()
  const done = meta.acknowledged[command.target] ?? 0
  for (let number = done + 1; number <= command.number; number++) state.forwards.delete(command.target, number)
  if (command.number > done) meta.acknowledged[command.target] = command.number
}
