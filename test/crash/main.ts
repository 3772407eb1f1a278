/** Runs the crash rig for long: `npx tsx test/crash/main.ts --help`. */
import { parseArgs } from 'node:util'
import { Rig } from './rig.ts'

const usage = `Kills a server and processes of the SDK at random under load, cuts and delays their connections, then heals all and compares
what senders were told with what receivers have.

  npx tsx test/crash/main.ts [--seed N] [--kills N] [--sdk-kills N] [--server serve|eager]

  --seed       of the faults and of the load (default 1); timing is the machine's, so a run can be repeated but not exactly
  --kills      of the server (default 100)
  --sdk-kills  of SDK processes, senders and receivers (default a third of the kills)
  --server     eager (default): four shards and checkpoints all the time; serve: as it is shipped

Run npm run build before. Everything lies below TMPDIR: /dev/shm makes it faster, and a kill can't tell the difference. Exit codes: 0 no violation, 1 violations, 2 wrong usage, 3 no rest after the healing.`

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    kills: { type: 'string', default: '100' },
    'sdk-kills': { type: 'string' },
    server: { type: 'string', default: 'eager' },
    help: { type: 'boolean', default: false },
  },
})
const kills = Number(values.kills)
const sdkKills = Number(values['sdk-kills'] ?? Math.ceil(kills / 3))
const { server } = values
const isUsable = [Number(values.seed), kills, sdkKills].every((number) => Number.isInteger(number) && number >= 0)
if (values.help) console.log(usage)
else if (!isUsable || (server !== 'serve' && server !== 'eager')) {
  console.error(usage)
  process.exitCode = 2
} else {
  const startedMs = performance.now()
  const seconds = () => Math.round((performance.now() - startedMs) / 1_000)
  const progress = (line: string) => console.log(`${seconds()} s: ${line}`)
  try {
    const result = await new Rig({ seed: Number(values.seed), kills, sdkKills, server, progress }).run()
    const { faults, faultCounts, acknowledged, handled, redelivered, conflicts } = result
    console.log(
      JSON.stringify({
        seconds: seconds(),
        acknowledged,
        handled,
        redelivered,
        conflicts,
        violations: faults.length,
        faultCounts,
      }),
    )
    for (const fault of faults.slice(0, 50)) console.log(fault)
    process.exitCode = faults.length > 0 ? 1 : 0
  } catch (error) {
    console.error(error)
    process.exitCode = 3
  }
}
