/** Makes the bundle in which schedules run: the sources as they are, or with one planted fault, which exists nowhere else. */
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build, type Plugin } from 'esbuild'
import type { PlantedFault } from './faults/plantedFault.ts'
import type * as Schedules from './schedules.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const directory = join(root, 'node_modules/.cache/posthaste-sim')
const source = (name: string, file = 'index'): string => join(root, 'packages', name, `src/${file}.ts`)

/** A bundle on the disk: a module with the exports of `sim/schedules.ts`, which as a worker thread runs what it is sent. */
export interface Bundle {
  readonly path: string
  remove(): void
}

/** Builds the simulator. @throws Error when the planted fault does not match the sources, exactly once for each of its changes */
export async function buildSchedules(fault?: PlantedFault): Promise<Bundle> {
  mkdirSync(directory, { recursive: true })
  const path = join(directory, `${fault?.name ?? 'schedules'}-${process.pid}.mjs`)
  const applied = new Set<string>()
  await build({
    entryPoints: [join(root, 'sim/schedules.ts')],
    outfile: path,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: 'inline',
    sourcesContent: false,
    logLevel: 'error',
    alias: {
      '@posthaste/core': source('core'),
      '@posthaste/protocol/schema': source('protocol', 'schema'),
      '@posthaste/protocol': source('protocol'),
    },
    plugins: fault === undefined ? [] : [planting(fault, applied)],
  })
  for (const { file } of fault?.changes ?? [])
    if (!applied.has(file)) throw new Error(`the fault ${fault?.name} changes ${file}, which the simulator does not use`)
  return { path, remove: () => rmSync(path, { force: true }) }
}

/** The bundle in this thread. */
export async function load(bundle: Bundle): Promise<typeof Schedules> {
  process.setSourceMapsEnabled(true)
  return (await import(pathToFileURL(bundle.path).href)) as typeof Schedules
}

/** The text of a source with the fault in it. @throws Error when a text that it changes does not stand there exactly once */
export function planted(fault: PlantedFault, file: string): string {
  let contents = readFileSync(join(root, 'packages', file), 'utf8')
  for (const { from, to } of fault.changes.filter((change) => change.file === file)) {
    if (contents.split(from).length !== 2) throw new Error(`the fault ${fault.name} no longer matches ${file}: ${from}`)
    contents = contents.replace(from, () => to)
  }
  return contents
}

/** Changes sources as they are read. */
function planting(fault: PlantedFault, applied: Set<string>): Plugin {
  return {
    name: 'planted-fault',
    setup: ({ onLoad }) => {
      onLoad({ filter: /packages\/(core|client|protocol)\/src\/.*\.ts$/ }, ({ path }) => {
        const file = relative(join(root, 'packages'), path)
        if (!fault.changes.some((change) => change.file === file)) return undefined
        const contents = planted(fault, file)
        applied.add(file)
        return { contents, loader: 'ts' }
      })
    },
  }
}
