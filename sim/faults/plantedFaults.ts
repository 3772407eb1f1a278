import { boundFaults } from './boundFaults.ts'
import { clientFaults } from './clientFaults.ts'
import { coreFaults } from './coreFaults.ts'
import { ephemeralFaults } from './ephemeralFaults.ts'
import type { PlantedFault } from './plantedFault.ts'
import { tabFaults } from './tabFaults.ts'

/** The faults that the simulator must catch. */
export const plantedFaults: readonly PlantedFault[] = [
  ...coreFaults,
  ...boundFaults,
  ...ephemeralFaults,
  ...clientFaults,
  ...tabFaults,
]
