import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { countsOf } from './counts.ts'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const good = "import { test } from 'vitest'\ntest('a', () => {})\ntest('b', () => {})\n"

describe('the counts of a run of tests', () => {
  test.each([
    ['all pass', { 'a.test.mjs': good }, { passed: 2, failed: 0 }],
    ['one fails', { 'a.test.mjs': `${good}test('c', () => { throw new Error() })` }, { passed: 2, failed: 1 }],
    ['a file does not load', { 'a.test.mjs': good, 'b.test.mjs': "import './missing.mjs'" }, { passed: 2, failed: 1 }],
    ['a file holds no test', { 'a.test.mjs': good, 'b.test.mjs': '' }, { passed: 2, failed: 1 }],
    [
      'a hook fails',
      { 'a.test.mjs': `import { beforeAll } from 'vitest'\n${good}beforeAll(() => { throw new Error() })` },
      { passed: 0, failed: 1 },
    ],
    [
      'an error outside of all tests',
      {
        'a.test.mjs': `${good}setImmediate(() => { throw new Error() })\ntest('c', () => new Promise((done) => setTimeout(done, 50)))`,
      },
      { passed: 3, failed: 1 },
    ],
    ['there is no test', {}, { passed: 0, failed: 1 }],
  ])('are right when %s', (_name, files, counts) => {
    expect(countsOfRun(files)).toEqual(counts)
  })

  test('call a run without a report failed', () => {
    expect(countsOf(undefined, 0)).toEqual({ passed: 0, failed: 1 })
    expect(countsOf(undefined, 1)).toEqual({ passed: 0, failed: 1 })
  })
})

/** Runs vitest on these files as `.ci/run` does. */
function countsOfRun(files: Readonly<Record<string, string>>): unknown {
  // Within the project, so that the files find vitest.
  mkdirSync(join(root, 'tmp'), { recursive: true })
  const folder = mkdtempSync(join(root, 'tmp', 'counts-'))
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
    const report = join(folder, 'report.json')
    writeFileSync(join(folder, 'vitest.config.mjs'), 'export default {}')
    const options = ['run', '--root', folder, '--reporter=json', `--outputFile.json=${report}`]
    const { status } = spawnSync(process.execPath, [join(root, 'node_modules/vitest/vitest.mjs'), ...options], { cwd: folder })
    const arguments_ = [join(root, 'scripts/counts.ts'), report, String(status)]
    const [passed, failed] = spawnSync(join(root, 'node_modules/.bin/tsx'), arguments_, { encoding: 'utf8' }).stdout.split(' ')
    return { passed: Number(passed), failed: Number(failed) }
  } finally {
    rmSync(folder, { recursive: true })
  }
}
