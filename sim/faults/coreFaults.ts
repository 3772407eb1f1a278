import type { PlantedFault } from './plantedFault.ts'

const send = 'core/src/shard/verbs/send.ts'
const log = 'core/src/shard/log.ts'
const passing = 'core/src/shard/passing.ts'
const state = 'core/src/shard/state.ts'
const group = 'core/src/shard/verbs/group.ts'
const host = 'core/src/host/host.ts'

/** Rules of the shard, the pump and the gateway, broken one at a time. */
export const coreFaults: readonly PlantedFault[] = [
  {
    name: 'sent-before-the-flush',
    rule: 'only flushed records are applied',
    changes: [
      {
        file: host,
        from: 'for (const batcher of this.batchers) batcher.cut(nowMs)\n',
        to: `for (const [shard, batcher] of this.batchers.entries()) {
          batcher.cut(nowMs)
          batcher.flushed(Number.MAX_SAFE_INTEGER, (effects) => this.#routing.route(shard, effects))
        }\n`,
      },
    ],
  },
  {
    name: 'keys-after-the-rights-check',
    rule: 'keys are looked up before any check of rights or limits',
    changes: [
      { file: send, from: '  if (address !== undefined && isKnown(state, command, address)) return\n', to: '' },
      {
        file: send,
        from: '  accept(state, command, address.identity, log, contact)\n}',
        to: '  if (isKnown(state, command, address)) return\n  accept(state, command, address.identity, log, contact)\n}',
      },
    ],
  },
  {
    name: 'no-keys',
    rule: 'a retry finds its key',
    changes: [{ file: send, from: '  if (command.id === 0n) return false\n', to: '  if (command.id !== -1n) return false\n' }],
  },
  {
    name: 'key-dropped-before-its-deadline',
    rule: "a key lives to its message's deadline plus a day",
    changes: [
      {
        file: state,
        from: 'return key !== undefined && Math.max(state.clockMs, nowMs) < key.deadlineMs + keyGraceMs ? key : undefined',
        to: 'return key !== undefined && Math.max(state.clockMs, nowMs) < key.timeMs + 200 ? key : undefined',
      },
    ],
  },
  {
    name: 'conflict-swallowed',
    rule: 'the same id with other content is a conflict, and told',
    changes: [{ file: send, from: 'const isSame = key.hash === command.hash', to: 'const isSame = true' }],
  },
  {
    name: 'conflict-accepted',
    rule: 'the same id with other content is not stored',
    changes: [
      {
        file: send,
        from: '  if (key === undefined) return false\n',
        to: '  if (key === undefined || key.hash !== command.hash) return false\n',
      },
    ],
  },
  {
    name: 'block-ignored',
    rule: 'what a blocked sender writes is refused',
    changes: [{ file: send, from: "} else if (contact.isBlocked) return 'blocked'", to: '}' }],
  },
  {
    name: 'skip-moves-the-mark',
    rule: 'what a device passed without storing it is not delivered',
    changes: [
      {
        file: passing,
        from: 'const isStored = (notStored[at]?.from ?? Number.POSITIVE_INFINITY) > seq',
        to: 'const isStored = seq > 0',
      },
    ],
  },
  {
    name: 'mark-passes-what-was-closed',
    rule: 'marks are withheld from what nobody has stored',
    changes: [
      {
        file: log,
        from: "if (log.kind === 0) makeHole(state, identity, lane, seq, entry, 'expired')",
        to: 'if (log.kind === 0) entry.isClosed = true',
      },
    ],
  },
  {
    name: 'trimmed-without-a-device',
    rule: 'without a device nothing is trimmed',
    changes: [
      {
        file: log,
        from: 'const isPassed = log.devices.length === 0 ? entry.isClosed :',
        to: 'const isPassed = log.devices.length === 0 ? true :',
      },
    ],
  },
  {
    name: 'trimmed-when-one-device-has-it',
    rule: 'an entry is trimmed once all registered devices have passed it',
    changes: [
      {
        file: log,
        from: 'passed = Math.min(passed, device.cursors[lane] as number)',
        to: 'passed = Math.max(passed === Number.POSITIVE_INFINITY ? 0 : passed, device.cursors[lane] as number)',
      },
    ],
  },
  {
    name: 'late-entries-delivered',
    rule: 'an entry is never delivered after its deadline, nor stored',
    changes: [
      {
        file: 'core/src/pump.ts',
        from: 'return entry.deadlineMs <= nowMs ? wait',
        to: 'return entry.deadlineMs === 0 ? wait',
      },
      {
        file: 'client/src/machine/inbox.ts',
        from: 'return this.#time.latest(this.#context.now) >= packet.deadlineMs',
        to: 'return packet.deadlineMs === 0',
      },
    ],
  },
  {
    name: 'expired-too-early',
    rule: 'a message is expired once its deadline has passed, and not before',
    changes: [
      {
        file: 'core/src/shard/closing.ts',
        from: 'if (!entry.isClosed && entry.deadlineMs <= state.clockMs) closeEntry',
        to: 'if (!entry.isClosed && entry.deadlineMs <= state.clockMs + 600_000) closeEntry',
      },
      {
        file: log,
        from: '  setDue(state, identity, log, laneDueMs(place))',
        to: '  setDue(state, identity, log, state.clockMs + 500)',
      },
    ],
  },
  {
    name: 'never-closed',
    rule: 'the first record past a deadline closes its entry',
    changes: [
      {
        file: 'core/src/shard/closing.ts',
        from: 'if (!entry.isClosed && entry.deadlineMs <= state.clockMs) closeEntry',
        to: 'if (entry.deadlineMs < 0) closeEntry',
      },
      {
        file: 'core/src/shard/closing.ts',
        from: 'isHeld = true\n      place.scanDueMs',
        to: 'isHeld = true\n      if (entry.deadlineMs > state.clockMs) place.scanDueMs',
      },
    ],
  },
  {
    name: 'forward-applied-twice',
    rule: 'a target applies only the next number of a shard',
    changes: [
      {
        file: 'core/src/shard/verbs/forward.ts',
        from: 'if (number === source.number + 1) {',
        to: 'if (number >= source.number) {',
      },
    ],
  },
  {
    name: 'forward-forgotten',
    rule: 'a forwarded command is kept until its target has applied it',
    changes: [
      {
        file: 'core/src/host/routing.ts',
        from: 'for (let target = 0; target < this.#host.batchers.length; target++) {',
        to: 'for (let target = 0; target < 0; target++) {',
      },
    ],
  },
  {
    name: 'position-reused-after-a-restart',
    rule: 'positions are never reused',
    changes: [
      {
        file: host,
        from: 'const position = Math.max(options.positions[index] as number, shard.position)',
        to: 'const position = Math.max(0, shard.position - 1)',
      },
    ],
  },
  {
    name: 'identity-inherited',
    rule: 'a re-created address shares nothing with its past',
    changes: [
      {
        file: 'core/src/shard/addresses.ts',
        from: 'const identity = state.newIdentity()',
        to: 'const identity = state.addresses.get(kind, name)?.past[0] ?? state.newIdentity()',
      },
    ],
  },
  {
    name: 'apply-sees-the-checkpoint',
    rule: 'apply depends on records and rows alone',
    changes: [
      {
        file: log,
        from: '  row.timeMs = state.clockMs\n',
        to: '  row.timeMs = state.clockMs + (state.generations.open > 2 ? 1 : 0)\n',
      },
    ],
  },
  {
    name: 'frozen-row-lost',
    rule: 'a checkpoint is the state at exactly one position',
    changes: [
      {
        file: 'core/src/rows/table.ts',
        from: 'if (row.generation === open - 2) this.#keepFrozen(row)\n    }\n    row.generation = open',
        to: '}\n    row.generation = open',
      },
    ],
  },
  {
    name: 'frozen-row-of-the-future',
    rule: 'a checkpoint holds frozen rows as they were',
    changes: [
      {
        file: 'core/src/rows/table.ts',
        from: 'else checkpoint.put(key, this.#frozenBytes.get(row) as Uint8Array)',
        to: 'else {\n        this.#codec.write(rowWriter, row)\n        checkpoint.put(key, rowWriter.lend())\n      }',
      },
    ],
  },
  {
    name: 'deleted-row-stays-on-disk',
    rule: 'a checkpoint deletes what was deleted',
    changes: [
      {
        file: 'core/src/rows/table.ts',
        from: 'if (row.generation === -generation) checkpoint.delete(key)',
        to: 'if (row.generation === -generation) continue',
      },
    ],
  },
  {
    name: 'new-member-reads-the-past',
    rule: 'a member reads from its join on',
    changes: [
      {
        file: group,
        from: 'const stay: Stay = { from: heads(log), to: null }',
        to: 'const stay: Stay = { from: heads(log).map(() => 0), to: null }',
      },
    ],
  },
  {
    name: 'who-left-reads-on',
    rule: 'a member reads to its leave',
    changes: [{ file: group, from: 'last.to = heads(log)', to: 'last.to = null' }],
  },
  {
    name: 'own-message-comes-back',
    rule: "a device's own message to a group is skipped",
    changes: [
      {
        file: 'core/src/pump.ts',
        from: 'return entry.device === reader.device && entry.sender === reader.user ? skipReasons.own : 0',
        to: 'return entry.device === reader.device && entry.sender < 0 ? skipReasons.own : 0',
      },
    ],
  },
  {
    name: 'sender-counted-as-member',
    rule: 'the counts of a group leave its sender out',
    changes: [
      {
        file: passing,
        from: 'if (entry === undefined || entry.sender === who.identity || !mayRead',
        to: 'if (entry === undefined || !mayRead',
      },
    ],
  },
  {
    name: 'missed-members-counted',
    rule: 'a member counts when a device of it has stored the message',
    changes: [{ file: passing, from: 'const range = notStored[at]\n    if', to: 'const range = notStored[-1]\n    if' }],
  },
  {
    name: 'read-what-is-delivered',
    rule: 'read is what an app has marked read',
    changes: [
      {
        file: 'core/src/shard/settling.ts',
        from: 'const mark = Math.min(count, marks.delivered)',
        to: 'const mark = marks.delivered',
      },
    ],
  },
  {
    name: 'receipts-of-those-who-want-none',
    rule: 'without receipts a sender is told nothing beyond sent',
    changes: [
      {
        file: 'core/src/shard/status.ts',
        from: 'if (isDelivered && !key.receipts) return',
        to: 'if (isDelivered && key.seq < 0) return',
      },
    ],
  },
  {
    name: 'cursor-only-moves-up',
    rule: 'the own cursors of a device are the truth, up or down',
    changes: [{ file: 'core/src/shard/settling.ts', from: 'else if (said < before) device.cursors[lane] = said', to: '' }],
  },
  {
    name: 'pump-begins-at-the-head',
    rule: 'what a device has not acknowledged comes again',
    changes: [
      {
        file: 'core/src/host/greeting.ts',
        from: 'begins[lane] = seq <= (log.lanes[lane]?.head ?? 0) ? seq : (device.cursors[lane] as number)',
        to: 'begins[lane] = log.lanes[lane]?.head ?? 0',
      },
    ],
  },
  {
    name: 'no-new-epoch',
    rule: 'a restore begins a new epoch',
    changes: [
      {
        file: host,
        from: 'const isNew = epoch === 0 || options.isRestored === true',
        to: 'const isNew = epoch === 0',
      },
    ],
  },
]
