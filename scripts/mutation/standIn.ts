/** Stands in for vitest where mutants are run: it collects tests, and runs none. */
import {
  type ExpectStatic,
  GLOBAL_EXPECT,
  JestAsymmetricMatchers,
  JestChaiExpect,
  JestExtend,
  setState,
  chai,
} from '@vitest/expect'
import { spyOn } from '@vitest/spy'

/** What a test file gives to be run. */
export interface Test {
  readonly id: string
  readonly file: string
  run(): Promise<void>
}

type Body = (...args: unknown[]) => unknown
type Hook = () => unknown

/** The tests of all files that were loaded, in their order. */
export const tests: Test[] = []
let file = ''
let path: readonly string[] = []
let hooks: readonly { readonly before: Hook[]; readonly after: Hook[] }[] = []

/** The tests that follow come from this file. */
export function beginFile(name: string): void {
  file = name
  hooks = [{ before: [], after: [] }]
}

function each(add: (name: string, body: Body) => void): (rows: readonly unknown[]) => (name: string, body: Body) => void {
  return (rows) => (name, body) => {
    for (const [at, row] of rows.entries()) add(`${name} ${at}`, () => body(...(Array.isArray(row) ? row : [row])))
  }
}

function addSuite(name: string, body: Body): void {
  const outside = { path, hooks }
  path = [...path, name]
  hooks = [...hooks, { before: [], after: [] }]
  body()
  path = outside.path
  hooks = outside.hooks
}

function addTest(name: string, body: Body): void {
  const around = hooks
  const run = async (): Promise<void> => {
    try {
      for (const { before } of around) for (const hook of before) await hook()
      await body()
    } finally {
      for (const { after } of around) for (const hook of after) await hook()
    }
  }
  tests.push({ id: [file, ...path, name, tests.length].join(' > '), file, run })
}

for (const plugin of [JestExtend, JestChaiExpect, JestAsymmetricMatchers]) chai.use(plugin)
const asserting = (value: unknown, message?: string): unknown => chai.expect(value, message)
/** As vitest's own, which is made of the same parts. */
export const expect = Object.assign(asserting, chai.expect) as unknown as ExpectStatic
Object.defineProperty(globalThis, GLOBAL_EXPECT, { value: expect, writable: true, configurable: true })
setState({ assertionCalls: 0, isExpectingAssertions: false, expectedAssertionsNumber: null }, expect)

/** A suite. */
export const describe = Object.assign(addSuite, { each: each(addSuite) })
/** A test. */
export const it = Object.assign(addTest, { each: each(addTest) })
/** A test. */
export const test = it
/** Of vitest's tools those that the tests use. */
export const vi = { spyOn }

/** Before each test of the suite. */
export function beforeEach(hook: Hook): void {
  hooks.at(-1)?.before.push(hook)
}

/** After each test of the suite. */
export function afterEach(hook: Hook): void {
  hooks.at(-1)?.after.push(hook)
}
