import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { compiled } from '../process/compiled.ts'
import type { ImagesResult } from './images.ts'
import type { ImagesConfig } from './imagesWorker.ts'
import { compiledRecorded } from './record.ts'

/** What is asked for. */
export interface ImagesOptions extends Omit<ImagesConfig, 'program'> {
  readonly processes: number
}

/** What became of all images. */
export interface ImagesTotal extends ImagesResult {
  /** Processes that died: an image that brings the engine down is its last one. */
  readonly died: number
}

/** Records runs and opens images of power losses, in processes side by side. */
export async function runImages(
  options: ImagesOptions,
  onProgress: (total: ImagesResult) => void = () => {},
): Promise<ImagesTotal> {
  const { processes, images, seed } = options
  const worker = compiled(fileURLToPath(new URL('imagesWorker.ts', import.meta.url)))
  const program = compiledRecorded()
  let total: ImagesResult = { images: 0, told: 0, lossy: 0, faults: [] }
  const shares = Array.from({ length: processes }, (_, at) => {
    const share = Math.floor(images / processes) + (at < images % processes ? 1 : 0)
    const config: ImagesConfig = { ...options, program, images: share, seed: seed + at * 1_000_000 }
    // Plain Node: else the engine's second thread would load a loader for each image.
    const child = fork(worker, [JSON.stringify(config)], { execArgv: [] })
    child.on('message', (result: ImagesResult) => {
      const { told, lossy } = result
      total = {
        images: total.images + result.images,
        told: total.told + told,
        lossy: total.lossy + lossy,
        faults: [...total.faults, ...result.faults],
      }
      onProgress(total)
    })
    return new Promise<number | null>((resolve) => child.on('close', resolve))
  })
  const codes = await Promise.all(shares)
  return { ...total, died: codes.filter((code) => code !== 0).length }
}
