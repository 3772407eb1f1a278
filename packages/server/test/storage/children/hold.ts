/** Takes a data directory, and says how that went. Arguments: directory, file that will hold the instant (ms since the epoch) to do it at. */
import { existsSync, readFileSync, writeSync } from 'node:fs'
import { openDataDirectory } from '../../../src/storage/directory.ts'

const [directory = '', instantPath] = process.argv.slice(2)
writeSync(1, 'ready\n')
if (instantPath !== undefined) {
  while (!existsSync(instantPath)) await new Promise((resolve) => setTimeout(resolve, 5))
  const instantMs = Number(readFileSync(instantPath, 'utf8'))
  while (Date.now() < instantMs) await new Promise((resolve) => setImmediate(resolve))
}
try {
  await openDataDirectory(directory)
  writeSync(1, `won ${process.pid}\n`)
  setInterval(() => {}, 1_000)
} catch (cause) {
  if (!(cause instanceof Error)) throw cause
  writeSync(1, `lost ${'code' in cause ? cause.code : ''} ${cause.message}\n`)
}
