/** Searches for hostile input that breaks a part: `npx tsx test/fuzz/main.ts --target decoder|session|http --seconds S --seed N`. */
import { readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Coverage } from './coverage.ts'
import { decoderTarget } from './decoderTarget.ts'
import { Fuzzer, type Progress } from './fuzzer.ts'
import { httpTarget } from './httpTarget.ts'
import { sessionTarget } from './sessionTarget.ts'
import { Stopwatch, stepMs, type Target } from './target.ts'

const targets: Readonly<Record<string, (stopwatch: Stopwatch) => Target>> = {
  decoder: decoderTarget,
  session: sessionTarget,
  http: httpTarget,
}

const usage = `npx tsx test/fuzz/main.ts --target ${Object.keys(targets).join('|')} [--seconds 60] [--seed 1] [--step-ms ${stepMs}] [--repeat FILE]`

function line({ inputs, packets, seconds, blocks, corpus }: Progress): string {
  const rate = Math.round(packets / seconds)
  const memoryMiB = Math.round(process.memoryUsage().rss / 1_048_576)
  return `${seconds.toFixed(0)} s: ${inputs} inputs, ${packets} packets, ${rate}/s, ${blocks} blocks, ${corpus} kept, ${memoryMiB} MiB`
}

async function repeat(target: Target, path: string): Promise<void> {
  const genome = Buffer.from(readFileSync(path, 'utf8').split('\n')[0] ?? '', 'base64')
  console.log(target.describe(genome))
  await target.run(genome)
  console.log('no rule was broken')
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      target: { type: 'string', default: '' },
      seconds: { type: 'string', default: '60' },
      seed: { type: 'string', default: '1' },
      'step-ms': { type: 'string', default: String(stepMs) },
      repeat: { type: 'string' },
    },
  })
  const target = targets[values.target]?.(new Stopwatch(Number(values['step-ms'])))
  if (target === undefined) {
    console.error(usage)
    return 2
  }
  if (values.repeat !== undefined) {
    await repeat(target, values.repeat)
    return 0
  }
  // Nearly every input ends in an error, and most of the time went into where it came from: `--repeat` shows that.
  Error.stackTraceLimit = 0
  const coverage = new Coverage((url) => target.isWatched(url))
  const options = { seed: Number(values.seed), seconds: Number(values.seconds), coverage }
  const fuzzer = new Fuzzer(target, { ...options, onProgress: (progress) => console.log(line(progress)) })
  const { progress, failure } = await fuzzer.run()
  console.log(`${target.name}: ${line(progress)}`)
  if (failure === undefined) return 0
  const path = join(tmpdir(), `posthaste-fuzz-${target.name}-${values.seed}.txt`)
  writeFileSync(path, `${Buffer.from(failure.genome).toString('base64')}\n${target.describe(failure.genome)}\n`)
  console.error(failure.error)
  console.error(`again: npx tsx test/fuzz/main.ts --target ${target.name} --repeat ${path}`)
  return 1
}

process.exitCode = await main()
