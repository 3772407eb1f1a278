/** Counts the tests of a run: `tsx scripts/counts.ts <vitest's JSON report> <its exit code>` prints how many passed and failed. */
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

/** What is read of vitest's JSON report. */
export interface TestReport {
  readonly testResults: readonly {
    readonly status: string
    readonly assertionResults: readonly { readonly status: string }[]
  }[]
}

/** How many tests passed and failed. */
export interface Counts {
  readonly passed: number
  readonly failed: number
}

/**
 * The counts of a run. A file that failed without a failed test (it did not load, or a hook failed) counts as one failure, and so
 * does a run that failed otherwise (an error outside of all tests, no report at all).
 * @param report `undefined` when there is none
 */
export function countsOf(report: TestReport | undefined, exitCode: number): Counts {
  const files = report?.testResults ?? []
  const passed = files.reduce((sum, file) => sum + countOf(file.assertionResults, 'passed'), 0)
  const failed = files.reduce((sum, file) => {
    const tests = countOf(file.assertionResults, 'failed')
    return sum + (tests === 0 && file.status === 'failed' ? 1 : tests)
  }, 0)
  return { passed, failed: failed === 0 && (exitCode !== 0 || passed === 0) ? 1 : failed }
}

function countOf(tests: readonly { readonly status: string }[], status: string): number {
  return tests.filter((test) => test.status === status).length
}

function reportIn(path: string): TestReport | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as TestReport
  } catch {
    return undefined
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [path = '', exitCode = ''] = process.argv.slice(2)
  const { passed, failed } = countsOf(reportIn(path), exitCode === '' ? 1 : Number(exitCode))
  console.log(`${passed} ${failed}`)
}
