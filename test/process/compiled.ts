import { mkdirSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type BuildOptions, buildSync } from 'esbuild'

/** As deep below the root as the tests, so that relative paths to what was built stay true. */
const outDirectory = fileURLToPath(new URL('../../node_modules/.compiled/', import.meta.url))
/** The engine's second thread: a server looks for it beside itself. */
const tablesWriter = fileURLToPath(new URL('../../packages/server/dist/storage/tables-writer.js', import.meta.url))

// Without the paths of tsconfig.json, which lead to the sources.
const kind = { bundle: true, platform: 'node', format: 'esm', target: 'node20', tsconfigRaw: {} } as const

/**
 * Turns a TypeScript program of these tests into one that plain Node starts, in a tenth of the time that a loader takes: it matters where
 * a process is killed a thousand times. Packages are what `npm run build` made.
 * @returns the path of the program
 */
export function compiled(entry: string): string {
  mkdirSync(outDirectory, { recursive: true })
  const outfile = join(outDirectory, `${basename(entry, '.ts')}-${process.pid}.mjs`)
  buildSync({ entryPoints: [entry], outfile, external: ['../../packages/*'], packages: 'external', ...kind })
  return outfile
}

/** Does the same, and puts all packages into the one file: a server starts in two thirds of the time. */
export function bundled(entry: string): string {
  const name = basename(entry, '.ts')
  const outfile = join(outDirectory, `${name}-${process.pid}`, `${name}.mjs`)
  const options: BuildOptions = {
    ...kind,
    // Native code is found beside its packages.
    external: ['lmdb', 'classic-level', 'bufferutil'],
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)" },
  }
  buildSync({ ...options, entryPoints: [entry], outfile })
  buildSync({ ...options, entryPoints: [tablesWriter], outfile: join(dirname(outfile), basename(tablesWriter)) })
  return outfile
}
