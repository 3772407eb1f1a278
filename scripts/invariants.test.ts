import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { checksOf, invariants, testFiles, withChecks } from './invariants.ts'

const document = readFileSync(new URL('../INVARIANTS.md', import.meta.url), 'utf8')

it('finds the invariants that the name of a test names', () => {
  const text = "it('[I2] stores nothing twice', () => {})\ndescribe(\"keeps order [I3, I4]\", () => {})\nit('has none', () => {})"
  const checks = checksOf([{ path: 'a.test.ts', text }])
  expect(checks.get('I2')).toEqual(['`a.test.ts`: stores nothing twice'])
  expect(checks.get('I3')).toEqual(['`a.test.ts`: keeps order'])
  expect(checks.get('I4')).toEqual(['`a.test.ts`: keeps order'])
})

it('finds what stands after a table of tests that names none', () => {
  const text = [
    "it.each([[1, (a) => f(a)], [2, g()]])('has none: %s', () => {})",
    "it('[I5] is never late', () => {})",
    "it.each(rows())('[I7] puts %s first', () => {})",
    "describe.each([{ a: f(1) }])('[I9] tells %o nothing', () => {})",
  ].join('\n')
  const checks = checksOf([{ path: 'a.test.ts', text }])
  expect(checks.get('I5')).toEqual(['`a.test.ts`: is never late'])
  expect(checks.get('I7')).toEqual(['`a.test.ts`: puts %s first'])
  expect(checks.get('I9')).toEqual(['`a.test.ts`: tells %o nothing'])
})

it('finds at least one check of every invariant', () => {
  const checks = checksOf(testFiles())
  expect(invariants.filter(([name]) => checks.get(name)?.length === 0)).toEqual([])
})

it('finds INVARIANTS.md current (npx tsx scripts/invariants.ts --write)', () => {
  expect(withChecks(document, checksOf(testFiles()))).toBe(document)
})
