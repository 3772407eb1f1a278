import type { Command, CommandOf } from '../commands.ts'
import { decodeCommand } from '../commands.ts'
import type { ShardState } from '../state.ts'

/** Commands for other shards: a numbered queue per target, kept until the target has applied them. */

/** Puts a command into the queue of another shard. */
export function forward(state: ShardState, target: number, command: Uint8Array): void {
  const meta = state.changeMeta()
  const number = (meta.forwarded[target] as number) + 1
  meta.forwarded[target] = number
  state.forwards.put(target, number, { generation: 0, isOnDisk: false, place: 0, bytes: command })
  state.effects.forwards.push({ target, number, command })
}

/**
 * Applies what another shard forwarded: only the next number of that shard and epoch. A new epoch begins at 1: the shard that forwards
 * may come from a backup of another moment than this one, so that numbers of the epoch before mean nothing here.
 */
export function applyForwarded(state: ShardState, command: CommandOf<'forwarded'>, apply: (command: Command) => void): void {
  const { epoch, number } = command
  const source =
    state.sources.get(0, command.source) ??
    state.sources.put(0, command.source, { generation: 0, isOnDisk: false, place: 0, epoch, number: 0 })
  if (epoch < source.epoch) return
  state.sources.touch(0, command.source, source)
  if (epoch > source.epoch) {
    source.epoch = epoch
    source.number = 0
  }
  if (number === source.number + 1) {
    source.number = number
    apply(decodeCommand(command.command))
  }
  if (number <= source.number) state.effects.forwardsApplied.push({ source: command.source, number })
}

/** The target has applied our commands of this epoch up to this number. */
export function applyForwardDone(state: ShardState, command: CommandOf<'forwardDone'>): void {
  const meta = state.changeMeta()
  if (command.epoch !== meta.epoch) return
  const done = meta.acknowledged[command.target] as number
  for (let number = done + 1; number <= command.number; number++) state.forwards.delete(command.target, number)
  if (command.number > done) meta.acknowledged[command.target] = command.number
}

/**
 * A new epoch has begun: what waits for other shards is numbered from 1. So is what the record forwards that begins it: something may have
 * been due or left to do before its first command, and under its old number the other shard would wait for those before it for ever.
 */
export function renumberForwards(state: ShardState): void {
  const meta = state.changeMeta()
  const { forwards } = state.effects
  for (const [at, one] of forwards.entries())
    forwards[at] = { ...one, number: one.number - (meta.acknowledged[one.target] as number) }
  for (let target = 0; target < state.shards; target++) {
    const waiting = state.forwards.scan(target, 0, undefined, Number.MAX_SAFE_INTEGER)
    // In order: a row's new number is never above its old one, and those before have left theirs.
    for (const [at, [number, { bytes }]] of waiting.entries()) {
      state.forwards.delete(target, number)
      state.forwards.put(target, at + 1, { generation: 0, isOnDisk: false, place: 0, bytes })
    }
    meta.forwarded[target] = waiting.length
    meta.acknowledged[target] = 0
  }
}
