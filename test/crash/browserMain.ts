/** Kills Chromium while it receives: `npx tsx test/crash/browserMain.ts --help`. */
import { parseArgs } from 'node:util'
import { BrowserRig } from './browser.ts'

const usage = `Kills Chromium (SIGKILL to its whole browser process) while a client in it receives on a profile that is kept, starts it again, and in the
end compares what its sender was told with what the handler got and the database holds.

  npx tsx test/crash/browserMain.ts [--kills N] [--seed N]

  --kills  how many (default 100)
  --seed   of the pauses and lanes (default 1); timing is the machine's

Run npm run build before, and have /usr/bin/chromium. Exit codes: 0 no violation, 1 violations, 2 wrong usage, 3 no rest.`

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    help: { type: 'boolean', default: false },
  },
})
const [kills = -1, seed = -1] = [values.kills, values.seed].map(Number)
if (values.help) console.log(usage)
else if (!(Number.isInteger(kills) && Number.isInteger(seed) && kills >= 0 && seed >= 0)) {
  console.error(usage)
  process.exitCode = 2
} else {
  const startedMs = performance.now()
  const seconds = () => Math.round((performance.now() - startedMs) / 1_000)
  try {
    const { faults, ...counts } = await new BrowserRig({
      kills,
      seed,
      progress: (line) => console.log(`${seconds()} s: ${line}`),
    }).run()
    for (const fault of faults.slice(0, 50)) console.log(fault)
    console.log(JSON.stringify({ seconds: seconds(), kills, ...counts, violations: faults.length }))
    process.exitCode = faults.length > 0 ? 1 : 0
  } catch (error) {
    console.error(error)
    process.exitCode = 3
  }
}
