import type { Step } from '../plan/plan.ts'
import { tabKinds } from '../plan/stepKinds.ts'
import type { DeviceSlot } from './deviceSlot.ts'
import type { Page } from './page.ts'
import type { Profile } from './profile.ts'
import type { Simulation } from './simulation.ts'

/** What happens to single pages of a browser; false when the step is of another kind. On a device that is no browser nothing does. */
export function performTabFault(simulation: Simulation, step: Step, slot: DeviceSlot): boolean {
  if (!(step.kind in tabKinds)) return false
  const { profile } = slot
  if (profile === undefined) return true
  const page = step.kind.startsWith('leader') ? profile.leader : pageOf(profile, step)
  const isDone = step.kind === 'tabOpen' ? profile.open() : page !== undefined && happens(simulation, step, slot, page)
  if (isDone) simulation.world.count(`fault: ${step.kind}`)
  return true
}

function happens(simulation: Simulation, step: Step, slot: DeviceSlot, page: Page): boolean {
  switch (step.kind) {
    case 'tabClose':
    case 'leaderClose':
      slot.profile?.close(page)
      return true
    case 'tabCrash':
    case 'leaderCrash':
      kill(simulation, slot, page, step.ms)
      return true
    case 'tabFreeze':
    case 'leaderFreeze':
      page.freeze(step.ms)
      return true
    default:
      return false
  }
}

/** Kills the page that runs the machine. @param downMs when a browser that has no page left opens one again */
export function killLeader(simulation: Simulation, slot: DeviceSlot, downMs: number): void {
  const leader = slot.profile?.leader
  if (leader !== undefined) kill(simulation, slot, leader, downMs)
}

function kill(simulation: Simulation, slot: DeviceSlot, page: Page, downMs: number): void {
  const { world } = simulation
  slot.profile?.kill(page)
  world.trace.note(world.nowMs, slot.name, `${page.id} is killed`)
  world.after(downMs, () => simulation.startDevice(slot))
}

function pageOf({ pages }: Profile, step: Step): Page | undefined {
  return pages[Math.floor(step.choice / 8) % Math.max(1, pages.length)]
}
