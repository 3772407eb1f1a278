import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { randomOf } from '../process/place.ts'
import { imageFaults } from './image.ts'
import { Disk, Loss } from './powerLoss.ts'
import type { Recording } from './recording.ts'

/** What became of the images of one recording. */
export interface ImagesResult {
  readonly images: number
  /** Images in which a write was missing or torn that had been made. */
  readonly lossy: number
  /** Statuses that were compared, over all images. */
  readonly told: number
  readonly faults: readonly string[]
}

/**
 * Makes images of power losses at random moments of a recording, opens each with the real engine, and compares it with what was told by
 * then. An image with faults is kept in `directory`.
 */
export async function openImages(
  recording: Recording,
  options: { readonly directory: string; readonly images: number; readonly shards: number; readonly seed: number },
  onImage: (done: number) => void = () => {},
): Promise<ImagesResult> {
  const { directory, images, shards, seed } = options
  const random = randomOf(seed)
  const moments = momentsOf(recording, images, random)
  const disk = new Disk(recording)
  const faults: string[] = []
  let toldCount = 0
  let told = 0
  let lossy = 0
  for (const [at, moment] of moments.entries()) {
    disk.advance(moment)
    while ((recording.told[toldCount]?.startedAt ?? Number.POSITIVE_INFINITY) <= moment) toldCount += 1
    const path = join(directory, `image-${seed}-${at}`)
    mkdirSync(path, { recursive: true })
    const loss = new Loss(random)
    disk.writeImage(path, loss)
    if (loss.isReal) lossy += 1
    told += toldCount
    const found = await imageFaults(path, shards, recording.told.slice(0, toldCount))
    faults.push(...found.map((fault) => `${path} at ${moment}: ${fault}`))
    if (found.length === 0) rmSync(path, { recursive: true })
    onImage(at + 1)
  }
  return { images, lossy, told, faults }
}

/** Just when a call has begun or ended: all that differs lies between those. In order. */
function momentsOf({ calls }: Recording, count: number, random: () => number): number[] {
  const all = calls.flatMap(({ startedAt, endedAt }) => [startedAt, endedAt])
  const moments = Array.from({ length: count }, () => all[Math.floor(random() * all.length)] ?? 0)
  return moments.sort((left, right) => left - right)
}
