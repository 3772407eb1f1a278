import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Pump, type PumpPort, type Reading } from '../src/index.ts'
import { laneCount } from '../src/rows/rows.ts'
import { type Held, Logs, ReferencePump } from './pumpModel.ts'

/** The cursors of a device that has none. */
const fromTheStart = new Array<number>(laneCount).fill(0)

/** A pump and what it has written. */
class Rig implements PumpPort {
  readonly pump = new Pump()
  readonly written: string[] = []
  readonly #logs: Logs

  constructor(logs: Logs) {
    this.#logs = logs
  }

  read(log: number, lane: number, seq: number): Reading {
    const all = this.#logs.lane(log, lane)
    const held = all[seq - 1]
    if (held === undefined || held === 'late') return { kind: 'wait' }
    if (held === 'skip') return { kind: 'skip', to: seq, reason: 4 }
    return { kind: 'entry', bytes: Uint8Array.of(log, lane, seq), isLast: seq === all.length, isLent: false }
  }

  deliver(bytes: Uint8Array): void {
    this.written.push([...bytes].join('/'))
  }

  skip(log: number, lane: number, from: number): void {
    this.written.push(`skip ${log}/${lane}/${from}`)
  }
}

interface Model {
  readonly logs: Logs
  readonly pump: ReferencePump
}

/** Does the same to both, and compares. */
class Step implements fc.Command<Model, Rig> {
  readonly #name: string
  readonly #act: (pump: ReferencePump | Pump, model: Model, rig: Rig) => unknown

  constructor(name: string, act: (pump: ReferencePump | Pump, model: Model, rig: Rig) => unknown) {
    this.#name = name
    this.#act = act
  }

  check(): boolean {
    return true
  }

  run(model: Model, rig: Rig): void {
    expect(this.#act(rig.pump, model, rig)).toEqual(this.#act(model.pump, model, rig))
    expect(rig.written).toEqual(model.pump.written)
  }

  toString(): string {
    return this.#name
  }
}

const log = fc.integer({ min: 1, max: 3 })
const lane = fc.constantFrom(0, 1, 7, 8, 15)
const place = { log, lane }

/** Entries come, in one lane, and wake it once: not once for each of the two. */
const put = fc.record({ ...place, held: fc.constantFrom<Held>(1, 1, 1, 'skip', 'late'), count: fc.constantFrom(1, 2, 70) }).map(
  ({ log, lane, held, count }) =>
    new Step(`put ${count} ${held} ${log}/${lane}`, (pump, { logs, pump: reference }) => {
      const entries = logs.lane(log, lane)
      if (pump !== reference && entries.length < 180) entries.push(...new Array<Held>(count).fill(held))
      pump.wake(log, lane)
    }),
)
/** What was late is closed, and skipped. */
const close = fc.record(place).map(
  ({ log, lane }) =>
    new Step(`close ${log}/${lane}`, (pump, { logs }) => {
      const entries = logs.lane(log, lane)
      for (const [at, held] of entries.entries()) if (held === 'late') entries[at] = 'skip'
      pump.wake(log, lane)
    }),
)
const run = fc.constantFrom(1, 3, 64, 1_000).map(
  (most) =>
    new Step(`run ${most}`, (pump, _model, rig) => {
      if (pump instanceof Pump) pump.run(rig, most)
      else pump.run(most)
    }),
)
const ack = fc
  .record({ ...place, upTo: fc.integer({ min: 0, max: 260 }) })
  .map(({ log, lane, upTo }) => new Step(`ack ${log}/${lane}/${upTo}`, (pump) => pump.acked(log, lane, upTo, 0)))
const attach = log.map(
  (log) => new Step(`attach ${log}`, (pump) => (pump instanceof Pump ? pump.attach(log, fromTheStart) : pump.attach(log))),
)
const detach = log.map((log) => new Step(`detach ${log}`, (pump) => pump.detach(log)))

describe('the pump, beside one that looks through everything each time', () => {
  it('[I7] [I10] writes the same in the same order, whatever comes, is acknowledged, ends and begins again', () => {
    const commands = fc.commands([put, put, put, run, run, ack, ack, close, attach, detach], { maxCommands: 120, size: 'max' })
    fc.assert(
      fc.property(commands, (steps) => {
        const logs = new Logs()
        const setup = () => ({ model: { logs, pump: new ReferencePump(logs) }, real: new Rig(logs) })
        fc.modelRun(setup, steps)
      }),
      { seed: 7, numRuns: Number(process.env.RUNS ?? 300) },
    )
  })
})
