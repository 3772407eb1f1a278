import { readFileSync, writeFileSync } from 'node:fs'
import { plantedFaults } from './plantedFaults.ts'

/** A seed that catches a planted fault, and how. */
export interface Pin {
  readonly seed: number
  /** The broken invariant; `crash` or `liveness` where none was. */
  readonly caughtAs: string
}

const file = new URL('./pins.json', import.meta.url)

/** The pins by the names of the faults. */
export function readPins(): Map<string, Pin> {
  return new Map(Object.entries(JSON.parse(readFileSync(file, 'utf8')) as Record<string, Pin>))
}

/** Writes pins, in the order of the faults. */
export function writePins(pins: ReadonlyMap<string, Pin>): void {
  const lines = plantedFaults.flatMap(({ name }) => {
    const pin = pins.get(name)
    return pin === undefined
      ? []
      : [`  ${JSON.stringify(name)}: { "seed": ${pin.seed}, "caughtAs": ${JSON.stringify(pin.caughtAs)} }`]
  })
  writeFileSync(file, `{\n${lines.join(',\n')}\n}\n`)
}
