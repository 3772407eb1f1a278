/**
 * Measures what Posthaste promises, and prints it: `npm run bench` in three minutes, `npm run bench:full` all of it, or some of it:
 * `npm run bench -- throughput latency`. `npm run bench -- peers` compares it with others (`peers.ts`).
 * Servers and load generators are processes of their own; the data lies on a disk.
 */
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { measureApplying } from './applying.ts'
import { type BenchOptions, type Figure, machine, measureMachine } from './ground.ts'
import { measureIdle } from './idle.ts'
import { measureLatency } from './latency.ts'
import { measureOpening } from './opening.ts'
import { comparePeers } from './peers.ts'
import { saveResult } from './results.ts'
import { measureThroughput } from './throughput.ts'
import { measureFloods } from './workloads/floods.ts'
import { measureFloor } from './workloads/floor.ts'
import { measureGateways } from './workloads/gateways.ts'
import { measureGroup, measureGroups } from './workloads/groups.ts'
import { measureGrowth } from './workloads/growth.ts'
import { measureMany } from './workloads/many.ts'
import { measurePauses } from './workloads/pauses.ts'
import { measurePriorities } from './workloads/priorities.ts'
import { measureRate } from './workloads/rate.ts'
import { measureSoak } from './workloads/soak.ts'
import { measureStore, measureStorm } from './workloads/storm.ts'

interface Part {
  readonly measure: (options: BenchOptions) => Promise<Figure[]>
  /** Measured when no part is named. */
  readonly isShort: boolean
}

const parts: Readonly<Record<string, Part>> = {
  throughput: { measure: measureThroughput, isShort: true },
  latency: { measure: measureLatency, isShort: true },
  rate: { measure: measureRate, isShort: true },
  group: { measure: measureGroup, isShort: true },
  groups: { measure: measureGroups, isShort: false },
  floor: { measure: measureFloor, isShort: false },
  priorities: { measure: measurePriorities, isShort: true },
  floods: { measure: measureFloods, isShort: false },
  pauses: { measure: measurePauses, isShort: false },
  many: { measure: measureMany, isShort: false },
  storm: { measure: measureStorm, isShort: true },
  store: { measure: measureStore, isShort: false },
  gateways: { measure: measureGateways, isShort: false },
  idle: { measure: measureIdle, isShort: false },
  opening: { measure: measureOpening, isShort: false },
  applying: { measure: measureApplying, isShort: false },
  growth: { measure: measureGrowth, isShort: false },
  soak: { measure: measureSoak, isShort: false },
}
/** The checkpoints are measured under the load of the throughput. */
const aliases: Readonly<Record<string, string>> = { checkpoint: 'throughput' }

if (process.argv[2] === 'peers') process.exit(await comparePeers(process.argv.slice(3)))

const { values, positionals } = readArguments()
if (values.help) {
  console.log(help())
  process.exit(0)
}
const asked = positionals.map((name) => aliases[name] ?? name)
const unknown = asked.find((name) => parts[name] === undefined)
if (unknown !== undefined) {
  console.error(`There is no '${unknown}' to measure. ${help()}`)
  process.exit(2)
}
const options: BenchOptions = { soakMinutes: positive('soak-minutes'), scale: positive('scale') }
console.log(machine())
const worth = measureMachine()
const figures: Figure[] = [...worth]
for (const [name, { measure, isShort }] of Object.entries(parts)) {
  if (asked.length > 0 ? !asked.includes(name) : !isShort && !values.full) continue
  console.error(`measuring ${name} …`)
  const found = await measure(options).catch((error: unknown) => failed(name, error))
  figures.push(...found)
  if (values.json === undefined) continue
  const date = new Date().toISOString()
  saveResult(values.json, { part: name, machine: machine(), worth, date, command: commandOf(name), figures: found })
}
printTable([
  ['figure', 'target', 'measured', 'met'],
  ...figures.map(({ name, target, measured, isMet }) => [
    name,
    target,
    measured,
    isMet === undefined ? '' : isMet ? 'yes' : 'NO',
  ]),
])
if (figures.some(({ isMet }) => isMet === false)) process.exitCode = 1
if (values.full) {
  const code = await comparePeers(values.json === undefined ? [] : ['--json', join(dirname(values.json), 'peers.json')])
  if (code !== 0) process.exitCode = code
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        full: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
        json: { type: 'string' },
        'soak-minutes': { type: 'string', default: '30' },
        scale: { type: 'string', default: '1' },
      },
    })
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${help()}`)
    process.exit(2)
  }
}

function help(): string {
  return `npm run bench -- [PART …] [--full] [--scale X] [--soak-minutes N] [--json FILE]
  PART            ${[...Object.keys(parts), ...Object.keys(aliases)].join(', ')};
                  without one, those that are short
  --full          all parts, and then the peers
  --scale         of storm, store, groups, floor and growth; default 1
  --soak-minutes  default 30
  --json          keeps the figures in a file, from which npm run bench:report makes docs/benchmarks.md
npm run bench -- peers [NAME …] [--rounds N] [--warm-up S] [--seconds S] [--json FILE]
  compares Posthaste with what bench/peers/install.sh installs

Exit codes: 0 all targets met, 1 one is missed, 2 wrong arguments.`
}

/** What stands for a part that failed: the others are measured all the same. */
function failed(part: string, error: unknown): Figure[] {
  console.error(error)
  const text = error instanceof Error ? error.message : String(error)
  return [{ name: `${part} failed`, target: '', measured: text, isMet: false }]
}

function positive(name: 'soak-minutes' | 'scale'): number {
  const value = Number(values[name])
  if (value > 0) return value
  console.error(`--${name} takes a number above 0`)
  process.exit(2)
}

/** The command that measures a part as it was measured now. */
function commandOf(part: string): string {
  const scale = options.scale === 1 ? '' : ` --scale ${options.scale}`
  const minutes = part === 'soak' ? ` --soak-minutes ${options.soakMinutes}` : ''
  return `npm run bench -- ${part}${scale}${minutes}`
}

function printTable(rows: readonly (readonly string[])[]): void {
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  const lines = rows.map((row) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`)
  lines.splice(1, 0, `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`)
  console.log(`\n${lines.join('\n')}`)
}
