import type { PlantedFault } from './plantedFault.ts'

/** The faults that the simulator must catch. */
export const plantedFaults: readonly PlantedFault[] = []
