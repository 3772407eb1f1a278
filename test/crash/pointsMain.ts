/** Makes every write and flush of a server fail once: `npx tsx test/crash/pointsMain.ts --help`. */
import { parseArgs } from 'node:util'
import { runPoints } from './pointsRun.ts'

const usage = `Counts the calls by which a server writes and flushes its data (write, writev, pwrite64, pwritev, ftruncate, fdatasync, fsync, rename,
unlink) in its first start, while it appends, is acknowledged and makes a checkpoint, and when it starts again after a kill. Then fails each of
them: with EIO, with ENOSPC, and with a SIGKILL. Each time the server must go on, or stop with the code of its storage, and its data must open
and have all that was told.

  npx tsx test/crash/pointsMain.ts [--every N] [--from N] [--processes N]

  --every      only each N-th in each phase (default 1)
  --from       leaves out the first N: each call counts three times (default 0)
  --processes  side by side (default 2)

Run npm run build before, and have strace. Exit codes: 0 no violation, 1 violations, 2 wrong usage, 3 a process died.`

const { values } = parseArgs({
  options: {
    every: { type: 'string', default: '1' },
    from: { type: 'string', default: '0' },
    processes: { type: 'string', default: '2' },
    help: { type: 'boolean', default: false },
  },
})
const [every = 0, processes = 0, from = -1] = [values.every, values.processes, values.from].map(Number)
if (values.help) console.log(usage)
else if (![every, processes, from + 1].every((number) => Number.isInteger(number) && number > 0)) {
  console.error(usage)
  process.exitCode = 2
} else {
  const startedMs = performance.now()
  const seconds = () => Math.round((performance.now() - startedMs) / 1_000)
  const phases: Record<string, { failed: number; notReached: number; wentOn: number; crashed: number }> = {}
  let violations = 0
  let done = 0
  const died = await runPoints({ every, from, processes }, ({ point, fault, result, total }) => {
    const { phase, call, path, n } = point
    const counts = phases[phase] ?? { failed: 0, notReached: 0, wentOn: 0, crashed: 0 }
    phases[phase] = counts
    counts[result.isHit ? 'failed' : 'notReached'] += 1
    if (result.isHit && result.ending === '0') counts.wentOn += 1
    // Where that is no violation it is a crash of lmdb that is known: see points.ts.
    if (/^SIG(SEGV|ABRT)$/.test(result.ending)) counts.crashed += 1
    done += 1
    violations += result.faults.length
    const name = `${fault} at ${call} ${n} of ${path} (${phase})`
    for (const text of result.faults) console.log(`${name}: ${text}`)
    if (!result.isHit) console.log(`${name} was not reached: ended with ${result.ending}`)
    if (done % 20 === 0) console.log(`${seconds()} s: ${done} of ${total - from}, ${violations} violations`)
  })
  console.log(JSON.stringify({ seconds: seconds(), done, violations, died, phases }))
  process.exitCode = died > 0 ? 3 : violations > 0 ? 1 : 0
}
