import { codeNumber, type ServerPacket } from '@posthaste/protocol'
import fc from 'fast-check'
import { describe, it } from 'vitest'
import type { TimerName } from '../../src/machine/events.ts'
import { MachineRun } from './machineModel.ts'
import { lanes } from './modelServer.ts'
import { deliver } from './rig.ts'

class Step implements fc.Command<object, MachineRun> {
  readonly #name: string
  readonly #act: (run: MachineRun) => void

  constructor(name: string, act: (run: MachineRun) => void) {
    this.#name = name
    this.#act = act
  }

  check(): boolean {
    return true
  }

  run(_model: object, run: MachineRun): void {
    this.#act(run)
  }

  toString(): string {
    return this.#name
  }
}

function step<T>(name: string, choices: fc.Arbitrary<T>, act: (run: MachineRun, chosen: T) => void): fc.Arbitrary<Step> {
  return choices.map((chosen) => new Step(`${name} ${fc.stringify(chosen)}`, (run) => act(run, chosen)))
}

const lane = fc.constantFrom(...lanes)
const few = fc.integer({ min: 1, max: 4 })
const once = fc.constant(0)

/** What belongs to nothing that the client waits for. */
const odd: ServerPacket[] = [
  { kind: 'status', destination: 200, id: 999n, status: codeNumber('delivered') },
  { kind: 'mark', destination: 201, lane: 0, delivered: 9, read: 9 },
  { kind: 'statuses', request: 77, statuses: [] },
  { kind: 'acked', log: 5, lane: 0, upTo: 3 },
  { kind: 'readMark', log: 100, lane: 0, sender: 7, mark: 3 },
  { kind: 'counts', destination: 200, id: 998n, delivered: 1, read: 1, members: 1 },
]

const send = step('send', fc.record({ at: lane, receipts: fc.constantFrom(true, true, true, false) }), (run, { at, receipts }) =>
  run.send(at, receipts),
)
const isBusy = fc.constantFrom(false, false, false, false, true)
const serve = step('serve', fc.record({ count: few, isBusy }), (run, chosen) => run.serve(chosen.count, chosen.isBusy))
const take = step('deliver', few, (run, count) => run.deliver(count))
/** All that is on its way arrives. */
const exchange = step('exchange', once, (run) => {
  for (let round = 0; round < 2; round++) {
    run.serve(1_000, false)
    run.deliver(1_000)
  }
})
const passes = step(
  'peer passes',
  fc.record({ at: lane, count: few, isStoring: fc.boolean() }),
  (run, { at, count, isStoring }) => run.server.peerPasses(at, count, isStoring),
)
const comes = step('comes', fc.record({ at: lane, kind: fc.constantFrom('entry', 'entry', 'skip'), count: few }), (run, chosen) =>
  run.server.comes(chosen.at, chosen.kind, chosen.count),
)
const pump = step('pump', fc.record({ at: lane, isRepeated: fc.boolean() }), (run, { at, isRepeated }) =>
  run.server.pump(at, isRepeated),
)
const handled = step('handled', fc.constantFrom(true, true, false), (run, isDone) => run.handled(isDone))
const markRead = step('mark read', fc.record({ at: lane, back: fc.nat({ max: 2 }) }), (run, { at, back }) =>
  run.markRead(at, back),
)
const timer = step(
  'timer',
  fc.constantFrom<TimerName>('connection', 'connection', 'resume', 'handlers', 'store', 'outbox'),
  (run, name) => run.timer(name),
)
const hold = step('hold commits', fc.constantFrom(true, false, false), (run, isHolding) => {
  run.isCommitting = !isHolding
})
const disturbances = [
  step('hang up', once, (run) => run.hangUp()),
  step('crash', fc.boolean(), (run, isApplied) => run.crash(isApplied)),
  step('gap', lane, (run, at) => run.break(deliver(run.server.lane(at).sent + 2, { lane: at }))),
  step('garbage', once, (run) => run.break(undefined)),
]
const others = [
  step('peer reads', lane, (run, at) => run.server.peerReads(at)),
  step('expire', lane, (run, at) => run.server.expire(at)),
  step('fill', fc.nat({ max: 5 }), (run, at) => run.server.fill(at)),
  step('cancel', fc.nat({ max: 12 }), (run, at) => run.cancel(at)),
  step('commit', fc.constantFrom('done', 'done', 'failed'), (run, outcome) => run.commit(outcome)),
  step('mutter', fc.constantFrom(...odd), (run, packet) => run.mutter(packet)),
]
/** Each as often as it should come. */
const steps = [
  ...[send, send, send, send, send, send, serve, serve, take, take, exchange, exchange, exchange, exchange, exchange, exchange],
  ...[passes, passes, passes, passes, passes, comes, comes, pump, pump, pump, pump, handled, handled, markRead, hold],
  ...[timer, timer, timer, ...disturbances, ...others],
]

describe('the machine, beside a server that knows the truth and an app that notes all it is told', () => {
  it('[I1] [I2] [I3] [I4] [I6] [I12] loses, repeats and makes up nothing, and tells each ending once and for good', () => {
    fc.assert(
      fc.property(fc.commands(steps, { maxCommands: 120, size: 'max' }), (history) => {
        const real = new MachineRun()
        fc.modelRun(() => ({ model: {}, real }), history)
        real.heal()
        real.checkEnd()
      }),
      { seed: Number(process.env.TEST_SEED ?? 3), numRuns: Number(process.env.RUNS ?? 200) },
    )
  }, 600_000)
})
