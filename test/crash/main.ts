/** Runs the crash rig for long: `npx tsx test/crash/main.ts --help`. */
import { parseArgs } from 'node:util'
import { Rig, type RigResult, type ServerKind, serverKinds } from './rig.ts'

const usage = `Kills a server and processes of the SDK at random under load, cuts and delays their connections, then heals all and compares
what senders were told with what receivers have.

  npx tsx test/crash/main.ts [--seed N] [--kills N] [--sdk-kills N] [--round N] [--server ${serverKinds.join('|')}]

  --seed       of the faults and of the load (default 1); timing is the machine's, so a run can be repeated but not exactly
  --kills      of the server (default 100), about half of them while it starts after another one
  --sdk-kills  of SDK processes, senders and receivers (default a third of the kills)
  --round      kills of the server until all is healed and judged; the next round begins with new data and new devices (default 100)
  --server     eager: four shards and checkpoints all the time; eager-single: the same with one shard; serve: as it is shipped; gateways: the same with two processes that hold the sockets, which are killed too.
               Default: each in turn, a round each

Run npm run build before. Everything lies below TMPDIR: /dev/shm makes it faster, and a kill can't tell the difference. A line of JSON after each
round has the sums so far. The first round with a violation is the last one, and its files are kept. SIGTERM makes the round that is under way the
last one, which is healed and judged at once. Exit codes: 0 no violation, 1 violations, 2 wrong usage, 3 no rest after the healing.`

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    kills: { type: 'string', default: '100' },
    'sdk-kills': { type: 'string' },
    round: { type: 'string', default: '100' },
    server: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
const seed = Number(values.seed)
const kills = Number(values.kills)
const sdkKills = Number(values['sdk-kills'] ?? Math.ceil(kills / 3))
const killsPerRound = Number(values.round)
const servers = serverKinds.filter((kind) => values.server === undefined || values.server === kind)
/** Apart by more than a round has parties, each of which has a seed of its own. */
const seedStep = 100

/** What the rounds so far come to. */
class Sums {
  acknowledged = 0
  handled = 0
  redelivered = 0
  conflicts = 0
  violations = 0
  readonly faultCounts: Record<string, number> = {}

  add({ acknowledged, handled, redelivered, conflicts, faults, faultCounts }: RigResult): void {
    this.acknowledged += acknowledged
    this.handled += handled
    this.redelivered += redelivered
    this.conflicts += conflicts
    this.violations += faults.length
    for (const [name, count] of Object.entries(faultCounts)) this.faultCounts[name] = (this.faultCounts[name] ?? 0) + count
  }
}

async function run(): Promise<number> {
  const startedMs = performance.now()
  const seconds = () => Math.round((performance.now() - startedMs) / 1_000)
  const rounds = Math.max(1, Math.ceil(kills / killsPerRound))
  /** Rounds share what is asked for, as evenly as whole numbers can. */
  const share = (total: number, round: number) =>
    Math.floor((total * (round + 1)) / rounds) - Math.floor((total * round) / rounds)
  const sums = new Sums()
  let isOver = false
  process.once('SIGTERM', () => {
    isOver = true
  })
  for (let round = 0; round < rounds && !isOver; round++) {
    const server: ServerKind = servers[round % servers.length] ?? 'eager'
    const progress = (line: string) => console.log(`${seconds()} s, round ${round + 1} of ${rounds} (${server}): ${line}`)
    const wanted = { kills: share(kills, round), sdkKills: share(sdkKills, round) }
    const result = await new Rig({ seed: seed + round * seedStep, server, progress, isOver: () => isOver, ...wanted }).run()
    sums.add(result)
    console.log(JSON.stringify({ seconds: seconds(), rounds: round + 1, ...sums }))
    for (const fault of result.faults.slice(0, 50)) console.log(fault)
    if (result.faults.length > 0) return 1
  }
  return 0
}

const isUsable = [seed, kills, sdkKills, killsPerRound - 1].every((number) => Number.isInteger(number) && number >= 0)
if (values.help) console.log(usage)
else if (!isUsable || servers.length === 0) {
  console.error(usage)
  process.exitCode = 2
} else {
  try {
    process.exitCode = await run()
  } catch (error) {
    console.error(error)
    process.exitCode = 3
  }
}
