import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { compiled } from '../process/compiled.ts'
import { readRecording, type Recording, recordingArguments } from './recording.ts'

/** What is recorded: a server in one process with its clients, from its first start to its clean stop. */
export interface RecordOptions {
  readonly seed: number
  /** Of each of two senders. */
  readonly messages: number
  readonly shards: number
}

/** The program that is recorded, ready to run. */
export function compiledRecorded(): string {
  return compiled(fileURLToPath(new URL('fixtures/recorded.ts', import.meta.url)))
}

/** Records a run under strace. The directory is gone afterwards: the recording has all of it. */
export async function record(program: string, { seed, messages, shards }: RecordOptions): Promise<Recording> {
  const directory = mkdtempSync(join(tmpdir(), 'posthaste-recording-'))
  try {
    const run = join(directory, 'run')
    const trace = join(directory, 'trace')
    mkdirSync(run)
    const argv = [process.execPath, program, run, String(messages), String(shards), String(seed)]
    const child = spawn('strace', [...recordingArguments(trace), ...argv], { stdio: ['ignore', 'inherit', 'inherit'] })
    const code = await new Promise((resolve) => child.on('close', resolve))
    if (code !== 0) throw new Error(`the recorded run ended with ${code}`)
    return readRecording(trace, join(run, 'data'), join(run, 'told'))
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
