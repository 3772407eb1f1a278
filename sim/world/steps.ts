import type { Step } from '../plan/plan.ts'
import { faultKinds } from '../plan/stepKinds.ts'
import { performDeviceFault } from './deviceFaults.ts'
import { performServerFault } from './serverFaults.ts'
import { performOperation } from './operations.ts'
import type { Simulation } from './simulation.ts'
import { performWork } from './work.ts'

/** Does what a step says. */
export function perform(simulation: Simulation, step: Step): void {
  const { world } = simulation
  world.trace.note(world.nowMs, 'step', step.kind, step.choice)
  if (step.kind in faultKinds) world.count(`fault: ${step.kind}`)
  const isDone =
    performWork(simulation, step) ||
    performOperation(simulation, step) ||
    performDeviceFault(simulation, step) ||
    performServerFault(simulation, step)
  if (!isDone && step.kind !== 'wait' && step.kind !== 'leap') throw new Error(`nobody performs ${step.kind}`)
}
