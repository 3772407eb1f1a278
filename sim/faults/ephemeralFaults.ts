import type { PlantedFault } from './plantedFault.ts'

const volatile = 'core/src/host/volatile.ts'
const ephemeral = 'client/src/machine/ephemeral.ts'

/** Rules of what is never stored, broken one at a time. */
export const ephemeralFaults: readonly PlantedFault[] = [
  {
    name: 'realtime-given-twice',
    rule: 'a real-time message comes at most once',
    changes: [
      {
        file: volatile,
        from: '      isGiven = true\n      target.sendBytes(bytes)',
        to: '      isGiven = true\n      target.sendBytes(bytes)\n      target.sendBytes(bytes)',
      },
    ],
  },
  {
    name: 'realtime-past-a-block',
    rule: 'a real-time message needs the right to send',
    changes: [{ file: volatile, from: '    if (refusal !== undefined) return tell(codeNumber(refusal))\n', to: '' }],
  },
  {
    name: 'realtime-expired-though-given',
    rule: 'a real-time message is expired when nobody was connected, and only then',
    changes: [{ file: volatile, from: 'if (!isGiven && this.#pending.delete(token)', to: 'if (this.#pending.delete(token)' }],
  },
  {
    name: 'presence-past-a-block',
    rule: 'presence never reaches whom a user has blocked',
    changes: [
      {
        file: volatile,
        from: 'identity !== 0 && this.#host.queries.isBlocked(identity, session.identity)',
        to: 'identity !== 0 && this.#host.queries.isBlocked(identity, identity)',
      },
    ],
  },
  {
    name: 'presence-untold',
    rule: 'who watches a user is told when it comes',
    changes: [
      {
        file: 'core/src/host/greeting.ts',
        from: '    this.#volatile.presenceChanged(session.user)\n',
        to: '',
      },
    ],
  },
  {
    name: 'watches-forgotten',
    rule: 'on a new connection a client says again whom it watches',
    changes: [{ file: ephemeral, from: 'this.#writeWatch([...this.#watched.keys()], true)', to: 'this.#told.clear()' }],
  },
  {
    name: 'typing-never-ends',
    rule: 'who types and is not heard of for long has stopped',
    changes: [
      {
        file: ephemeral,
        from: 'if (typist.untilMs > this.#context.now.monotonicMs) continue',
        to: 'if (typist.untilMs > 0) continue',
      },
    ],
  },
]
