import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Plan } from '../plan/plan.ts'
import { runPlan } from '../run.ts'

const folder = new URL('../regressions/', import.meta.url)
const names = readdirSync(folder).filter((name) => name.endsWith('.json'))

describe('a schedule that failed once', () => {
  it.each(names)('passes: %s', (name) => {
    const plan = JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Plan
    const { verdict, text, violations } = runPlan(plan, false)
    expect({ verdict, text, violations }).toEqual({ verdict: 'passed', text: '', violations: [] })
  })
})
