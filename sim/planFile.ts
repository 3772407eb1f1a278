import { writeFileSync } from 'node:fs'
import type { Plan } from './plan/plan.ts'

/** Writes a plan to a file of its own, and says where. */
export function writePlan(name: string, plan: Plan): void {
  const path = `${name}.json`
  writeFileSync(path, `${JSON.stringify(plan)}\n`)
  console.log(`written to ${path}: npm run sim -- --plan ${path}`)
}
