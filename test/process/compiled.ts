import { mkdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'

/** As deep below the root as the tests, so that relative paths to what was built stay true. */
const outDirectory = fileURLToPath(new URL('../../node_modules/.compiled/', import.meta.url))

/**
 * Turns a TypeScript program of these tests into one that plain Node starts, in a tenth of the time that a loader takes: it matters where
 * a process is killed a thousand times. Packages are what `npm run build` made.
 * @returns the path of the program
 */
export function compiled(entry: string): string {
  mkdirSync(outDirectory, { recursive: true })
  const outfile = join(outDirectory, `${basename(entry, '.ts')}-${process.pid}.mjs`)
  // Without the paths of tsconfig.json, which lead to the sources.
  const external = ['../../packages/*']
  const kind = {
    external,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    tsconfigRaw: {},
  } as const
  buildSync({ entryPoints: [entry], outfile, ...kind })
  return outfile
}
