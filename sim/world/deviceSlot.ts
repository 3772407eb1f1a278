import type { App } from './app.ts'
import type { DeviceProcess } from './deviceProcess.ts'
import type { Slot } from './slot.ts'

/** One device, with the process that runs on it at the moment, if any. */
export interface DeviceSlot extends Slot {
  process: DeviceProcess | undefined
  app: App | undefined
}
