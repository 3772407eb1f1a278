/** One process's share of the images: `imagesWorker CONFIG`, JSON of {@link ImagesConfig}. Sends an ImagesResult for each recording. */
import { mkdtempSync, readdirSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openImages } from './images.ts'
import { record } from './record.ts'
import type { DiskCall, Recording } from './recording.ts'

/** What a process is asked for. */
export interface ImagesConfig {
  /** The compiled program that is recorded. */
  readonly program: string
  readonly images: number
  readonly seed: number
  readonly messages: number
  /** Plants a fault: the journals' flushes did nothing. */
  readonly isUnflushed: boolean
}

const imagesPerRecording = 500

async function work({ program, images, seed, messages, isUnflushed }: ImagesConfig): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'posthaste-images-'))
  for (let done = 0; done < images; ) {
    const count = Math.min(imagesPerRecording, images - done)
    const shards = 1 + (Math.floor(done / imagesPerRecording) % 2)
    const recorded = await record(program, { seed: seed + done, messages, shards })
    const recording = isUnflushed ? withoutFlushes(recorded) : recorded
    process.send?.(await openImages(recording, { directory, images: count, shards, seed: seed + done }))
    done += count
  }
  if (readdirSync(directory).length === 0) rmdirSync(directory)
}

function withoutFlushes(recording: Recording): Recording {
  const isOfJournal = ({ path }: DiskCall) => path.includes('/journal/')
  const calls = recording.calls.filter((call) => call.kind !== 'flush' || !isOfJournal(call))
  return { ...recording, calls: calls.map((call) => (isOfJournal(call) ? { ...call, isSynchronous: false } : call)) }
}

await work(JSON.parse(process.argv[2] ?? '{}'))
process.disconnect()
