import { spawnSync } from 'node:child_process'
import { existsSync, openSync } from 'node:fs'
import { expect, it } from 'vitest'
import { LogOutput } from '../src/log-output.ts'

const failing = (code: string) => Object.assign(new Error(code), { code })

/** An output that takes these numbers of bytes in turn, or fails so; then all. */
function outputOf(...turns: (number | string)[]): { output: LogOutput; text: () => string; calls: () => number } {
  let text = ''
  let calls = 0
  const output = new LogOutput((bytes) => {
    calls += 1
    const turn = turns.shift() ?? bytes.length
    if (typeof turn === 'string') throw failing(turn)
    text += Buffer.from(bytes.subarray(0, turn)).toString()
    return turn
  })
  return { output, text: () => text, calls: () => calls }
}

const again = (times: number): string[] => Array<string>(times).fill('EAGAIN')

it.each<[string, (number | string)[], string]>([
  ['goes out', [], 'first\nsecond\nthird\n'],
  ['goes out in parts', [2, 1], 'first\nsecond\nthird\n'],
  ['is lost where the disk is full', ['ENOSPC'], 'second\nthird\n'],
  ['is waited for where a pipe has no room', again(9), 'first\nsecond\nthird\n'],
  ['is lost where it has none for long', again(10), 'second\nthird\n'],
  ['that is cut short goes on before the next', [2, 'EIO'], 'first\nsecond\nthird\n'],
  ['that is cut short goes on when there is room, and what comes meanwhile is lost', [2, 'EIO', 'EIO'], 'first\nthird\n'],
])('a line %s', (_what, turns, text) => {
  const { output, text: written } = outputOf(...turns)
  for (const line of ['first\n', 'second\n', 'third\n']) output.write(line)
  expect(written()).toBe(text)
})

it('waits no more for a pipe that had no room for the last line', () => {
  const { output, calls } = outputOf(...again(1_000))
  output.write('first\n')
  expect(calls()).toBe(10)
  output.write('second\n')
  expect(calls()).toBe(11)
})

it.runIf(existsSync('/dev/full'))('holds up nobody where standard output is on a full disk', () => {
  const logging = new URL('../src/logging.ts', import.meta.url).href
  const program = `import { createLogger } from ${JSON.stringify(logging)}
    const logger = createLogger({ level: 'debug' })
    logger.info('first')
    logger.fatal('last')
    process.exit(7)`
  const { status } = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
    stdio: ['ignore', openSync('/dev/full', 'w'), 'inherit'],
    timeout: 30_000,
  })
  expect(status).toBe(7)
})
