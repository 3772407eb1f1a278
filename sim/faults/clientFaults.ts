import type { PlantedFault } from './plantedFault.ts'

const inbox = 'client/src/machine/inbox.ts'
const cursors = 'client/src/machine/cursors.ts'
const outbox = 'client/src/machine/outbox.ts'
const statuses = 'client/src/machine/statuses.ts'
const sending = 'client/src/machine/sending.ts'
const receiving = 'client/src/machine/receiving.ts'

/** Rules of the client's machine, broken one at a time. */
export const clientFaults: readonly PlantedFault[] = [
  {
    name: 'cursor-before-the-inbox',
    rule: 'an entry and the cursor that passes it are one commit',
    changes: [
      {
        file: inbox,
        from: 'writes.push([rowKey(tables.inbox, epoch, log, lane, seq), entryRow.write(entry)])',
        to: 'writes.push(...(this.late ?? [])); this.late = [[rowKey(tables.inbox, epoch, log, lane, seq), entryRow.write(entry)]]',
      },
    ],
  },
  {
    name: 'acknowledged-before-the-commit',
    rule: 'an ACK follows a durable commit',
    changes: [
      {
        file: cursors,
        from: 'for (const { log, lane, built } of this.#committing) writes.push([rowKey(tables.cursor, log, lane), cursorRow.write(built)])',
        to: `for (const cursor of this.#committing) {
          writes.push([rowKey(tables.cursor, cursor.log, cursor.lane), cursorRow.write(cursor.built)])
          cursor.durable = cursor.built
          this.#acknowledge(cursor)
        }`,
      },
    ],
  },
  {
    name: 'ack-without-its-ranges',
    rule: 'an ACK says which ranges were passed and not stored',
    changes: [
      {
        file: inbox,
        from: 'if (isMissed) lane.built = { seq: to, notStored: addRange(lane.built.notStored, { from, to }) }',
        to: 'if (isMissed) lane.built = { seq: to, notStored: lane.built.notStored }',
      },
    ],
  },
  {
    name: 'hello-with-what-is-not-durable',
    rule: 'HELLO says what is durable',
    changes: [
      {
        file: cursors,
        from: '      cursor.seq = cursor.durable.seq\n      cursor.built = cursor.durable\n',
        to: '      cursor.durable = { seq: cursor.seq, notStored: cursor.built.notStored }\n      cursor.built = cursor.durable\n',
      },
    ],
  },
  {
    name: 'duplicates-stored',
    rule: 'below the cursor is a duplicate',
    changes: [
      { file: inbox, from: 'if (packet.seq <= lane.seq) {', to: 'if (packet.seq < 0) {' },
      // Right in itself: a server may send again what lies below the cursor, which this one never does.
      {
        file: 'core/src/host/greeting.ts',
        from: 'begins[lane] = seq <= (log.lanes[lane]?.head ?? 0) ? seq : (device.cursors[lane] as number)',
        to: 'begins[lane] = Math.min(seq, log.lanes[lane]?.trim ?? 0)',
      },
    ],
  },
  {
    name: 'late-entries-stored',
    rule: 'an entry past its deadline is passed, not stored',
    changes: [
      {
        file: inbox,
        from: 'return this.#time.latest(this.#context.now) >= packet.deadlineMs',
        to: 'return packet.deadlineMs === 0',
      },
    ],
  },
  {
    name: 'earliest-instead-of-latest',
    rule: 'receivers take the latest possible time',
    changes: [
      {
        file: inbox,
        from: 'return this.#time.latest(this.#context.now) >= packet.deadlineMs',
        to: 'return this.#time.earliest(this.#context.now) >= packet.deadlineMs',
      },
    ],
  },
  {
    name: 'keys-not-looked-up-in-a-new-epoch',
    rule: 'in a new epoch a device drops what it has already, by key',
    changes: [
      {
        file: inbox,
        from: 'return packet.id !== 0n && this.#time.earliest(this.#context.now) < this.#device.meta.repeatsUntilMs',
        to: 'return packet.id < 0n',
      },
    ],
  },
  {
    name: 'cursors-kept-in-a-new-epoch',
    rule: 'in a new epoch all cursors are void',
    changes: [{ file: 'client/src/machine/machine.ts', from: 'if (isNewEpoch) this.#inbox.cursors.drop()', to: '' }],
  },
  {
    name: 'deadline-moves-with-a-retry',
    rule: 'a deadline is fixed once',
    changes: [
      {
        file: sending,
        from: "this.#context.write({ kind: 'send', ref, toKind, to, id, type, priority, deadlineMs, receipts, body })\n  }\n\n  #settle",
        to: "this.#context.write({ kind: 'send', ref, toKind, to, id, type, priority, deadlineMs: deadlineMs + ref, receipts, body })\n  }\n\n  #settle",
      },
    ],
  },
  {
    name: 'sends-in-no-order',
    rule: 'within a lane messages go out in the order written',
    changes: [
      {
        file: 'client/src/machine/drainQueue.ts',
        from: '(lane[at - 1] as OutboxMessage).order > message.order) at -= 1',
        to: '(lane[at - 1] as OutboxMessage).order < message.order) at -= 1',
      },
    ],
  },
  {
    name: 'sent-before-it-is-stored',
    rule: 'a message is in the outbox before its first attempt',
    changes: [{ file: outbox, from: 'return message.isBodyStored && !this.#dirty.has(message)', to: 'return message.order > 0' }],
  },
  {
    name: 'safe-before-it-is-stored',
    rule: 'send resolves once the message is safe in the outbox',
    changes: [
      {
        file: outbox,
        from: '    if (pending.length === 0) {\n      this.#answer(waiting)',
        to: '    if (pending.length >= 0) {\n      this.#answer(waiting)',
      },
    ],
  },
  {
    name: 'cancelled-though-known',
    rule: 'what the server may have can not be taken back',
    changes: [
      {
        file: outbox,
        from: "message === undefined || message.mayBeKnown || message.status !== 'outbox'",
        to: 'message === undefined',
      },
    ],
  },
  {
    name: 'not-sent-again',
    rule: 'what has no answer is sent again on the next connection',
    changes: [
      {
        file: sending,
        from: '      this.#enqueue(message)\n    }\n',
        to: '      if (!message.mayBeKnown) this.#enqueue(message)\n    }\n',
      },
    ],
  },
  {
    name: 'resume-forgotten',
    rule: 'after a refusal the client goes on with RESUME',
    changes: [{ file: sending, from: "this.#context.write({ kind: 'resume', ref: this.#refusedRef })\n", to: '' }],
  },
  {
    name: 'holes-marked',
    rule: 'no mark speaks for a message that STATUS has taken out of their reach',
    changes: [
      {
        file: statuses,
        from: 'if (message.isMarked) this.#outbox.advance(message, status)',
        to: 'this.#outbox.advance(message, status)',
      },
    ],
  },
  {
    name: 'marks-of-an-earlier-connection',
    rule: 'on a new connection no mark speaks for a message before STATUSES has',
    changes: [
      { file: statuses, from: '    this.#lanes.clear()\n    for', to: '    if (isNewEpoch) this.#lanes.clear()\n    for' },
    ],
  },
  {
    name: 'statuses-not-asked-for',
    rule: 'what was missed while away is asked for',
    changes: [{ file: statuses, from: 'if (!message.isUnanswered) this.#toQuery.push(message)', to: '' }],
  },
  {
    name: 'redelivered-unsaid',
    rule: 'what a handler may have seen before comes as redelivered',
    changes: [{ file: receiving, from: 'seq <= mark.openedAt || lane.attempts > 0', to: 'lane.attempts > 0' }],
  },
  {
    name: 'handler-before-its-mark',
    rule: 'before a handler starts, the store says that it may have',
    changes: [{ file: receiving, from: 'if (mark.durable < seq) {', to: 'if (mark.durable < 0) {' }],
  },
  {
    name: 'positions-ignored',
    rule: 'what lies at or below the positions of an app is done',
    changes: [
      {
        file: receiving,
        from: 'return handled !== undefined && !this.#retried.has(entry) && isCovered(position, handled)',
        to: 'return handled !== undefined && position.seq < 0',
      },
    ],
  },
  {
    name: 'sleep-on-the-way-unnoticed',
    rule: 'a sleep between a request and its answer leaves the time in doubt',
    changes: [
      {
        file: 'client/src/machine/serverTime.ts',
        from: 'this.#skew = this.#askedSkew ?? (this.#isKnown ? this.#skew : skewOf(now))',
        to: 'this.#skew = skewOf(now)',
      },
    ],
  },
  {
    name: 'used-before-its-user-is-known',
    rule: 'nothing of a store is used before the first token shows whose client it is',
    changes: [
      {
        file: 'client/src/machine/connection.ts',
        from: '    this.#askToken()\n    this.#owner.beginSession()',
        to: '    this.#admit()\n    this.#askToken()\n    this.#owner.beginSession()',
      },
    ],
  },
  {
    name: 'written-on-trust-kept',
    rule: 'what was written without a token goes when a token shows another user',
    changes: [{ file: 'client/src/machine/machine.ts', from: 'this.#outbox.disown(fault)', to: 'this.#isAdmitted = false' }],
  },
  {
    name: 'session-number-not-stored',
    rule: 'a session number is stored before it is used',
    changes: [
      {
        file: 'client/src/machine/device.ts',
        from: 'return this.#durableSession === this.#meta.session',
        to: 'return this.#meta.session > 0',
      },
    ],
  },
  {
    name: 'epoch-stored-in-parts',
    rule: 'what is to be sent again in a new epoch is stored together with the epoch',
    changes: [
      {
        file: outbox,
        from: 'bytes >= this.#context.commitBytes && !this.#isWhole',
        to: 'bytes >= this.#context.commitBytes',
      },
    ],
  },
  {
    name: 'ranges-cut-off',
    rule: 'a cursor whose ranges have no room in HELLO falls back to before them',
    changes: [
      {
        file: cursors,
        from: 'const upTo = (untold[notStored.length]?.from ?? end + 1) - 1',
        to: 'const upTo = end',
      },
    ],
  },
]
