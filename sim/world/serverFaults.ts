import { checkpointPoints, serverPoints, type Step } from '../plan/plan.ts'
import type { Simulation } from './simulation.ts'

/** What goes wrong with the server or its disk; false when the step is of another kind. */
export function performServerFault(simulation: Simulation, step: Step): boolean {
  return performProcessFault(simulation, step) || performDiskFault(simulation, step)
}

function performProcessFault(simulation: Simulation, step: Step): boolean {
  const { world } = simulation
  switch (step.kind) {
    case 'serverCrash':
      simulation.crashServer(false, step.ms)
      return true
    case 'serverPower':
      simulation.crashServer(true, step.ms)
      return true
    case 'serverStop':
      stop(simulation, step.ms)
      return true
    case 'serverClock':
      // Seen at the next start.
      simulation.serverOffsetMs += (step.isLucky ? 1 : -1) * step.ms
      return true
    case 'serverTrap': {
      const point = serverPoints[step.choice % serverPoints.length] ?? 'append'
      const isOfCheckpoint = checkpointPoints.includes(point)
      const nth = isOfCheckpoint ? 1 : 1 + (Math.floor(step.choice / serverPoints.length) % 4)
      world.setTrap('server', point, nth, () => {
        world.count(`crash at ${point}`)
        simulation.crashServer(step.isLucky, step.ms)
      })
      // It may be long until the next one comes by itself.
      if (isOfCheckpoint) simulation.server?.checkpointNow()
      return true
    }
    default:
      return false
  }
}

function stop(simulation: Simulation, downMs: number): void {
  const { server, world, recorder } = simulation
  if (server === undefined || !server.isUp) return
  server.stop(() => {
    if (simulation.server !== server) return
    simulation.stopped()
    world.trace.note(world.nowMs, 'server', 'has stopped')
    recorder.record({ kind: 'serverCrashed', serverMs: server.clock(world.nowMs) })
    world.after(downMs, () => simulation.startServer(false, 0))
  })
}

function performDiskFault(simulation: Simulation, step: Step): boolean {
  const { disk, world, plan } = simulation
  switch (step.kind) {
    case 'flushError':
      disk.isFailing = true
      return true
    case 'diskFull':
      disk.isNearlyFull = true
      world.after(step.ms, () => {
        disk.isNearlyFull = false
      })
      return true
    case 'slowDisk':
      disk.flushMsMax = 2_000
      world.after(step.ms, () => {
        disk.flushMsMax = plan.options.flushMsMax
      })
      return true
    case 'checkpoint':
      simulation.server?.checkpointNow()
      return true
    case 'backup':
      simulation.backup()
      return true
    case 'restore':
      if (simulation.restore(step.choice)) world.count('restored')
      return true
    default:
      return false
  }
}
