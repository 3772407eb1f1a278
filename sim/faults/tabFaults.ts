import type { PlantedFault } from './plantedFault.ts'

const tab = 'client/src/tabs/tab.ts'
const hub = 'client/src/tabs/hub.ts'

/** Rules of tabs that share a store, broken one at a time. */
export const tabFaults: readonly PlantedFault[] = [
  {
    name: 'two-leaders',
    rule: 'the tab that holds the lock runs the machine, and no other',
    changes: [
      {
        file: tab,
        from: 'this.#hold(this.#lock, () => this.#lead())',
        to: 'this.#hold(this.#lock + this.#port.id, () => this.#lead())',
      },
    ],
  },
  {
    name: 'calls-of-a-dead-leader-forgotten',
    rule: 'a new leader is asked again what the one before has not answered',
    changes: [
      {
        file: tab,
        from: 'if (!isLater || mayRepeat(ask)) this.#post(',
        to: 'if (isLater && mayRepeat(ask)) continue\n      if (!isLater) this.#post(',
      },
    ],
  },
  {
    name: 'asked-twice-what-may-not-be',
    rule: 'what asking twice would do twice is not asked again',
    changes: [{ file: tab, from: "return ask.kind !== 'request' && ask.kind !== 'realtime' &&", to: 'return' }],
  },
  {
    name: 'ids-made-by-the-leader',
    rule: 'a tab gives a message its id, so that the next leader may be given it once more',
    changes: [
      {
        file: tab,
        from: "const asked = ask.kind === 'send' ? {",
        to: "const asked = ask.kind === 'send' && this.#lastId < 0n ? {",
      },
    ],
  },
  {
    name: 'handlers-of-a-dead-tab-not-given-on',
    rule: 'the messages of a tab that is gone go to another one',
    changes: [{ file: hub, from: "if (run.tab === tab && !isDone) this.#settle(key, run, 'release')", to: 'void isDone' }],
  },
  {
    name: 'leader-waits-for-nobody',
    rule: 'nothing is handed over before all tabs have said what they handle',
    changes: [
      {
        file: hub,
        from: 'if (this.#awaited.size > 0 || receiving === undefined) return',
        to: 'if (receiving === undefined) return',
      },
    ],
  },
  {
    name: 'runs-of-a-tab-not-told',
    rule: 'a tab tells a new leader which handlers it runs',
    changes: [{ file: tab, from: 'runs: [...this.#runs], watched', to: 'runs: [], watched' }],
  },
  {
    name: 'ends-of-handlers-not-remembered',
    rule: 'a tab remembers how its handlers ended, for a leader that had not stored it',
    changes: [{ file: tab, from: "if (outcome === 'done' || outcome === 'set-aside') this.#runs.set(key, outcome)", to: '' }],
  },
  {
    name: 'ends-of-handlers-not-told',
    rule: 'the leader is told how a handler ended',
    changes: [
      {
        file: tab,
        from: "    this.#post({ kind: 'ended', key, outcome })\n",
        to: "    if (this.#hub !== undefined) this.#post({ kind: 'ended', key, outcome })\n",
      },
    ],
  },
  {
    name: 'only-the-leader-is-told',
    rule: 'what observers are told, all tabs are',
    changes: [
      {
        file: hub,
        from: 'const tabs = isOwn ? [this.#port.self]',
        to: "const tabs = isOwn || notice.kind === 'status' ? [this.#port.self]",
      },
    ],
  },
  {
    name: 'a-dead-leader-is-followed',
    rule: 'a tab joins only a leader that lives',
    changes: [
      {
        file: tab,
        from: 'this.#over === undefined && isAlive)',
        to: 'this.#over === undefined && locks.length >= Number(isAlive) - 1)',
      },
    ],
  },
  {
    name: 'presence-of-a-dead-leader',
    rule: 'a new leader learns whom the tabs watch',
    changes: [{ file: hub, from: 'this.#watch(tab, member, watched, true)', to: 'void watched' }],
  },
  {
    name: 'typists-of-a-dead-leader',
    rule: 'who typed is not known any more when the leader is gone',
    changes: [{ file: tab, from: 'if (isLater) this.#forgetOthers()', to: '' }],
  },
  {
    name: 'dead-tabs-unnoticed',
    rule: 'a leader notices when a tab is gone',
    changes: [{ file: tab, from: '          letGo()\n          gone()\n', to: '          letGo()\n          void gone\n' }],
  },
  {
    name: 'what-was-untold-not-looked-up',
    rule: 'once another machine goes on, an app learns what it was not told meanwhile',
    changes: [{ file: tab, from: 'if (isLater) this.#owner.restarted()', to: '' }],
  },
  {
    name: 'a-stopped-tab-handles',
    rule: 'a handler that was stopped is not called any more',
    changes: [{ file: tab, from: "if (this.#receiving === undefined) this.#ended(this.#run, 'release')\n    else ", to: '' }],
  },
  {
    name: 'an-ended-leader-stays',
    rule: 'whoever comes after the end begins again',
    changes: [{ file: hub, from: "if (this.#engine.connection.status === 'ended') this.#port.retire()\n      else ", to: '' }],
  },
  {
    name: 'others-not-asked-again-at-a-close',
    rule: 'what a closing leader has not answered, the next one is asked',
    changes: [
      { file: hub, from: "if (tab !== this.#port.self && body.kind === 'fault' && body.fault.code === 'closed') return", to: '' },
    ],
  },
]
