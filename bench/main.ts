/**
 * Measures what Posthaste promises, and prints it: `npm run bench`, or some of it: `npm run bench -- throughput latency`.
 * `npm run bench -- peers` compares it with others instead (`peers.ts`).
 * Servers and load generators are processes of their own; the data lies on a disk.
 */
import { measureApplying } from './applying.ts'
import { type Figure, machine, measureMachine } from './ground.ts'
import { measureIdle } from './idle.ts'
import { measureLatency } from './latency.ts'
import { measureOpening } from './opening.ts'
import { comparePeers } from './peers.ts'
import { measureThroughput } from './throughput.ts'

const parts: Readonly<Record<string, () => Promise<Figure[]>>> = {
  throughput: measureThroughput,
  latency: measureLatency,
  idle: measureIdle,
  opening: measureOpening,
  applying: measureApplying,
}
/** The checkpoints are measured under the load of the throughput. */
const aliases: Readonly<Record<string, string>> = { checkpoint: 'throughput' }

if (process.argv[2] === 'peers') process.exit((await comparePeers(process.argv.slice(3))) ? 0 : 1)

const asked = process.argv.slice(2).map((name) => aliases[name] ?? name)
const unknown = asked.find((name) => parts[name] === undefined)
if (unknown !== undefined) {
  console.error(`There is no '${unknown}' to measure: ${[...Object.keys(parts), ...Object.keys(aliases)].join(', ')}`)
  process.exit(2)
}
console.log(machine())
const figures: Figure[] = measureMachine()
for (const [name, measure] of Object.entries(parts)) {
  if (asked.length > 0 && !asked.includes(name)) continue
  console.error(`measuring ${name} …`)
  figures.push(...(await measure()))
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

function printTable(rows: readonly (readonly string[])[]): void {
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  const lines = rows.map((row) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`)
  lines.splice(1, 0, `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`)
  console.log(`\n${lines.join('\n')}`)
}
