/**
 * Posthaste and what a user might pick instead, by turns in one run: machines differ, and are busy now and then, the ratio stays.
 * `npm run bench -- peers`, or some of them: `npm run bench -- peers mosquitto nats --rounds 3 --json FILE`.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { machine, measureMachine } from './ground.ts'
import { aedes } from './peers/aedes.ts'
import { ejabberd } from './peers/ejabberd.ts'
import { measurePeer } from './peers/measure.ts'
import { mosquitto } from './peers/mosquitto.ts'
import { nats } from './peers/nats.ts'
import { type Contestant, outcomeOf, type PeersReport } from './peers/outcome.ts'
import type { Peer, Workload } from './peers/peer.ts'
import { posthaste } from './peers/posthaste.ts'
import { rabbitmq } from './peers/rabbitmq.ts'
import { redis } from './peers/redis.ts'
import { socketIo } from './peers/socketIo.ts'
import { missedTargets, peerTables } from './peers/tables.ts'

const peers: readonly Peer[] = [...posthaste, ...mosquitto, ...nats, ...redis, ...rabbitmq, ...ejabberd, ...aedes, ...socketIo]

/** Many messages of few, and few messages of many. */
const shapes = [
  { pairs: 50, window: 20, bodyBytes: 200 },
  { pairs: 1_000, window: 1, bodyBytes: 200 },
]

/** What is measured by turns, and how it went so far. */
interface Contest {
  readonly workload: Workload
  readonly contestants: readonly Contestant[]
}

interface Options {
  /** Names of peers, or how they begin; none stands for all. */
  readonly names: readonly string[]
  readonly rounds: number
  readonly warmUpMs: number
  readonly measuredMs: number
  /** Where the outcome goes as JSON. */
  readonly file: string | undefined
}

interface Chosen {
  readonly contestants: readonly Pick<Contestant, 'peer' | 'version'>[]
  /** Names of peers. */
  readonly notInstalled: readonly string[]
}

/**
 * Measures, prints, and with `--json FILE` writes down.
 * @param args of the command line
 * @returns the exit code: 0, 1 when a target is missed, 2 when the command line is not understood
 */
export async function comparePeers(args: readonly string[]): Promise<number> {
  try {
    const options = optionsOf(args)
    const chosen = chosenPeers(options.names)
    return (await compare(options, chosen)) ? 0 : 1
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(error.message)
    return 2
  }
}

/** A command line that is not understood. */
class UsageError extends Error {}

/** @returns whether all targets are met */
async function compare({ rounds, warmUpMs, measuredMs, file }: Options, { contestants, notInstalled }: Chosen): Promise<boolean> {
  const contests = shapes.map(
    (shape): Contest => ({
      workload: { ...shape, warmUpMs, measuredMs },
      contestants: contestants.map((one) => ({ ...one, runs: [], failures: [] })),
    }),
  )
  const ground = {
    date: new Date().toISOString(),
    machine: machine(),
    machineFigures: measureMachine().map(({ name, measured }) => ({ name: name.trim(), measured })),
    notInstalled,
  }
  const report = (): PeersReport => ({
    ...ground,
    contests: contests.map(({ workload, contestants }) => ({ workload, outcomes: contestants.map(outcomeOf) })),
  })
  console.log(ground.machine)
  for (let round = 1; round <= rounds; round++) {
    for (const { workload, contestants } of contests)
      for (const contestant of contestants) await runOnce(workload, contestant, `round ${round} of ${rounds}`)
    // After each round, so that a run that is cut short is not lost.
    if (file !== undefined) writeFileSync(file, `${JSON.stringify(report(), undefined, 2)}\n`)
  }
  console.log(peerTables(report()))
  const missed = missedTargets(report())
  for (const line of missed) console.log(line)
  return missed.length === 0
}

/** Runs one contestant once; what ends it early is written down with the others' figures, which it must not cost. */
async function runOnce(workload: Workload, { peer, runs, failures }: Contestant, round: string): Promise<void> {
  const what = `${round}, ${workload.pairs} × ${workload.window}: ${peer.name}`
  try {
    const run = await measurePeer(peer, workload)
    runs.push(run)
    console.error(`${what}: ${Math.round(run.perSecond).toLocaleString('en')} messages/s`)
  } catch (error) {
    failures.push(error instanceof Error ? error.message : String(error))
    console.error(`${what} failed: ${failures.at(-1)}`)
  }
}

function chosenPeers(names: readonly string[]): Chosen {
  const unknown = names.find((name) => !peers.some(({ id }) => id.startsWith(name)))
  if (unknown !== undefined) throw new UsageError(`there is no peer '${unknown}': ${peers.map(({ id }) => id).join(', ')}`)
  const contestants: Pick<Contestant, 'peer' | 'version'>[] = []
  const notInstalled: string[] = []
  for (const peer of peers) {
    if (peer.id !== 'posthaste' && names.length > 0 && !names.some((name) => peer.id.startsWith(name))) continue
    const version = peer.version()
    if (version !== undefined) contestants.push({ peer, version })
    else {
      notInstalled.push(peer.name)
      console.error(`${peer.name} is left out: it is not installed (bash bench/peers/install.sh)`)
    }
  }
  return { contestants, notInstalled }
}

function optionsOf(args: readonly string[]): Options {
  const { values, positionals } = parsed(args)
  const positive = (name: string, text: string): number => {
    const value = Number(text)
    if (!(value > 0)) throw new UsageError(`--${name} is a number above 0, not '${text}'`)
    return value
  }
  return {
    names: positionals,
    rounds: Math.ceil(positive('rounds', values.rounds)),
    warmUpMs: positive('warm-up', values['warm-up']) * 1_000,
    measuredMs: positive('seconds', values.seconds) * 1_000,
    file: values.json,
  }
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        rounds: { type: 'string', default: '5' },
        'warm-up': { type: 'string', default: '2.5' },
        seconds: { type: 'string', default: '5' },
        json: { type: 'string' },
      },
    })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}
