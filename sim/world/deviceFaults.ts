import { devicePoints, type Step } from '../plan/plan.ts'
import { storeFailed } from './deviceProcess.ts'
import { DeviceStore } from './deviceStore.ts'
import { isOwned } from './intruder.ts'
import type { Simulation } from './simulation.ts'
import { appOf, type DeviceSlot, machineOf } from './deviceSlot.ts'
import { killLeader, performTabFault } from './tabFaults.ts'
import { slotOf } from './work.ts'

const clonesMax = 2
const intruderMsMax = 500
const hourMs = 3_600_000

/** What goes wrong with a device or its way to the server; false when the step is of another kind. */
export function performDeviceFault(simulation: Simulation, step: Step): boolean {
  const slot = slotOf(simulation, step)
  return (
    performStoreFault(simulation, step, slot) ||
    performProcessFault(simulation, step, slot) ||
    performTabFault(simulation, step, slot) ||
    performRouteFault(simulation, step, slot)
  )
}

function performProcessFault(simulation: Simulation, step: Step, slot: DeviceSlot): boolean {
  const { world } = simulation
  switch (step.kind) {
    case 'deviceCrash':
      simulation.crashDevice(slot, false, step.ms)
      return true
    case 'devicePower':
      simulation.crashDevice(slot, true, step.ms)
      return true
    case 'deviceClose':
      appOf(slot, step.choice)?.ask({ kind: 'close' })
      return true
    case 'devicePause':
      pause(simulation, slot, step.ms, false)
      return true
    case 'deviceSleep':
      pause(simulation, slot, step.ms, true)
      return true
    case 'wallJump':
      // Nobody can tell a clock that was set back by as much as its computer slept from one that runs on.
      slot.clock.jump(
        (step.isLucky ? 1 : -1) *
          (step.ms * (step.choice % 4 === 0 ? 1_000 : 1) + (world.nowMs < slot.asleepUntilMs ? hourMs : 0)),
      )
      return true
    case 'wake':
      machineOf(slot)?.dispatch({ kind: 'wake' })
      return true
    case 'tokenFails':
      simulation.failingTokens = 1 + (step.choice % 3)
      return true
    case 'deviceTrap': {
      const point = devicePoints[step.choice % devicePoints.length] ?? 'device-commit'
      world.setTrap(slot.name, point, 1 + (step.choice % 5), () => {
        world.count(`crash at ${point}`)
        if (slot.profile !== undefined && step.choice % 2 === 0) killLeader(simulation, slot, step.ms)
        else simulation.crashDevice(slot, step.isLucky, step.ms)
      })
      return true
    }
    default:
      return false
  }
}

/** Nothing runs for a while: of a browser, in none of its pages. */
function pause({ world }: Simulation, slot: DeviceSlot, ms: number, isClockStopped: boolean): void {
  const { process, profile, clock } = slot
  if (isClockStopped) slot.asleepUntilMs = Math.max(slot.asleepUntilMs, world.nowMs + ms)
  process?.pause(ms, isClockStopped)
  for (const page of profile?.pages ?? []) page.freeze(ms)
  if (profile !== undefined && isClockStopped) world.after(ms, () => clock.stall(ms))
}

function performStoreFault(simulation: Simulation, step: Step, slot: DeviceSlot): boolean {
  switch (step.kind) {
    case 'commitFails': {
      const process = machineOf(slot)
      if (process === undefined) return true
      process.failingCommits = 1 + (step.choice % 4)
      process.failingFault = step.isLucky ? storeFailed : { code: 'store-full', message: 'The disk is full.', retryable: false }
      return true
    }
    case 'slowStore':
      slot.isSlow = true
      simulation.world.after(step.ms, () => {
        slot.isSlow = false
      })
      return true
    case 'deviceWipe':
      simulation.crashDevice(slot, step.isLucky, undefined)
      simulation.replaceStore(slot, undefined, 0)
      slot.sent.length = 0
      slot.got.length = 0
      simulation.world.after(step.ms, () => simulation.startDevice(slot))
      return true
    case 'deviceRollback':
      // A copy would have what another user's client has written on trust, and go on with it.
      if (slot.isIntruded) return true
      rollback(simulation, step, slot)
      return true
    case 'deviceIntruder':
      if (slot.profile !== undefined || slot.isIntruded || !isOwned(slot)) return true
      simulation.crashDevice(slot, step.isLucky, undefined)
      simulation.intrude(slot, step.ms % intruderMsMax, step.choice % 2 === 0)
      return true
    case 'deviceClone':
      if (!slot.isIntruded && simulation.slots.filter(({ isClone }) => isClone).length < clonesMax) simulation.clone(slot)
      return true
    default:
      return false
  }
}

/** The first time a copy is kept, the next time the device goes back to it. */
function rollback(simulation: Simulation, step: Step, slot: DeviceSlot): void {
  const { world } = simulation
  const old = slot.old.pop()
  if (old === undefined) {
    slot.old.push({ store: new DeviceStore(slot.store.number, slot.user, slot.store), atMs: world.nowMs })
    return
  }
  world.count('store rolled back')
  simulation.crashDevice(slot, step.isLucky, undefined)
  simulation.replaceStore(slot, old.store, old.atMs)
  world.after(step.ms, () => simulation.startDevice(slot))
}

function performRouteFault(simulation: Simulation, step: Step, slot: DeviceSlot): boolean {
  const { world } = simulation
  const { route } = slot
  switch (step.kind) {
    case 'cut':
      for (const link of [...route.links]) link.cut({ clientMs: step.choice % 50, serverMs: (step.choice * 7) % 200 })
      return true
    case 'cutSilently':
      for (const link of [...route.links])
        link.cut({
          clientMs: step.isLucky ? step.choice % 50 : undefined,
          serverMs: step.choice % 3 === 0 ? step.choice : undefined,
        })
      return true
    case 'partition':
      route.isPartitioned = true
      world.after(step.ms, () => route.heal())
      return true
    case 'slowReader':
      route.isSlow = true
      world.after(step.ms, () => route.heal())
      return true
    case 'refuse':
      route.isRefusing = true
      world.after(step.ms, () => route.heal())
      return true
    default:
      return false
  }
}
