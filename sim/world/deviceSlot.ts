import type { App } from './app.ts'
import type { DeviceProcess } from './deviceProcess.ts'
import type { Profile } from './profile.ts'
import type { Slot } from './slot.ts'

/** One device, with the process that runs on it at the moment, if any. */
export interface DeviceSlot extends Slot {
  /** The pages of a browser, which take the place of the process. */
  readonly profile: Profile | undefined
  process: DeviceProcess | undefined
  /** True time until which its monotonic clock stands still. */
  asleepUntilMs: number
  app: App | undefined
  /** Another user's client holds its store. */
  isIntruded: boolean
}

/** The process that runs a device's machine at the moment: in a browser, of the page that leads. */
export function machineOf({ profile, process }: DeviceSlot): DeviceProcess | undefined {
  return profile === undefined ? process : profile.leader?.process
}

/** The app on a device that is up: in a browser, of one of its pages that run. */
export function appOf({ profile, process, app }: DeviceSlot, choice: number): App | undefined {
  if (profile === undefined) return process === undefined ? undefined : app
  const living = profile.living.filter(({ isFrozen }) => !isFrozen)
  return living[Math.floor(choice / 8) % Math.max(1, living.length)]?.app
}
