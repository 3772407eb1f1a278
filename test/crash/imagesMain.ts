/** Opens many images of power losses: `npx tsx test/crash/imagesMain.ts --help`. */
import { parseArgs } from 'node:util'
import { runImages } from './imagesRun.ts'

const usage = `Records the system calls of servers under load, makes images of what a power loss at random moments leaves, opens each with the real
engine, and compares it with what senders were told by then.

  npx tsx test/crash/imagesMain.ts [--images N] [--seed N] [--messages N] [--processes N]

  --images     how many (default 2000)
  --seed       of the recordings' load and of the losses (default 1); a recording's timing is the machine's
  --messages   of each of two senders in a recording (default 150)
  --processes  side by side (default 2); each makes recordings of its own, of 500 images each, with 1 and 2 shards in turn

Run npm run build before, and have strace. Images lie below TMPDIR, best /dev/shm; those with faults are kept. Exit codes: 0 no violation, 1
violations, 2 wrong usage, 3 a process died (an image that brings the engine down is its last one).`

const { values } = parseArgs({
  options: {
    images: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
    messages: { type: 'string', default: '150' },
    processes: { type: 'string', default: '2' },
    help: { type: 'boolean', default: false },
  },
})
const numbers = {
  images: Number(values.images),
  seed: Number(values.seed),
  messages: Number(values.messages),
  processes: Number(values.processes),
}
if (values.help) console.log(usage)
else if (!Object.values(numbers).every((number) => Number.isInteger(number) && number > 0)) {
  console.error(usage)
  process.exitCode = 2
} else {
  const startedMs = performance.now()
  const seconds = () => Math.round((performance.now() - startedMs) / 1_000)
  const total = await runImages({ ...numbers, isUnflushed: false }, ({ images, faults }) => {
    console.log(`${seconds()} s: ${images} of ${numbers.images} images, ${faults.length} violations`)
  })
  for (const fault of total.faults.slice(0, 50)) console.log(fault)
  console.log(JSON.stringify({ seconds: seconds(), ...total, faults: total.faults.length }))
  process.exitCode = total.died > 0 ? 3 : total.faults.length > 0 ? 1 : 0
}
