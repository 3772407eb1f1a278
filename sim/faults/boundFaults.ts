import type { PlantedFault } from './plantedFault.ts'

const pump = 'core/src/pump.ts'
const host = 'core/src/host/host.ts'

/** Rules of order and of bounds, which only the network shows, broken one at a time. */
export const boundFaults: readonly PlantedFault[] = [
  {
    name: 'lowest-lane-first',
    rule: 'the next entry comes from the highest lane that waits',
    changes: [
      {
        file: pump,
        from: '    for (let lane = 0; lane < laneCount; lane++) {\n      if ((this.#waiting[lane]?.length ?? 0) === 0) continue',
        to: '    for (let lane = laneCount - 1; lane >= 0; lane--) {\n      if ((this.#waiting[lane]?.length ?? 0) === 0) continue',
      },
    ],
  },
  {
    name: 'lower-lanes-starve',
    rule: 'after 64 in a row from above a lower lane gets one',
    changes: [{ file: pump, from: 'longest >= 0 && this.#run >= fairnessRun', to: 'longest >= 0 && this.#run < 0' }],
  },
  {
    name: 'lower-lanes-come-early',
    rule: 'a lower lane gets one only after 64 in a row from above',
    changes: [{ file: pump, from: 'const fairnessRun = 64', to: 'const fairnessRun = 4' }],
  },
  {
    name: 'logs-take-no-turns',
    rule: 'within a lane the log that waited longest is next',
    changes: [{ file: pump, from: '    else queue.push(stream)', to: '    else queue.unshift(stream)' }],
  },
  {
    name: 'window-without-end',
    rule: 'no more than a window is under way to a device',
    changes: [
      {
        file: pump,
        from: 'return this.#inFlightEntries < windowEntries && this.#inFlightBytes < this.#windowBytes',
        to: 'return true',
      },
    ],
  },
  {
    name: 'slow-reader-kept',
    rule: 'a connection that does not read is closed before too much lies there for it',
    changes: [
      {
        file: host,
        from: "if (this.edge.bufferedBytes(session.connection) > this.limits.bufferedBytes) this.end(session, 'too-slow')",
        to: '',
      },
    ],
  },
  {
    name: 'slow-reader-holds-up-all',
    rule: 'nobody waits for who does not read',
    changes: [
      {
        file: host,
        from: "if (session.phase === 'live' && session.pump.run(",
        to: "if (this.registry.all().some(({ connection }) => this.edge.bufferedBytes(connection) > 0)) return\n    if (session.phase === 'live' && session.pump.run(",
      },
      // Once everybody reads, it goes on.
      {
        file: host,
        from: '    this.#volatile.tick()\n',
        to: '    this.#volatile.tick()\n    for (const session of this.registry.all()) this.ready(session)\n',
      },
    ],
  },
]
