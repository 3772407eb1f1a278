/**
 * A test runner for Stryker: the unit tests, bundled from the changed sources, in one warm process without a thread or a module graph per
 * mutant. Vitest needs a second of the processor for each; most mutants are found by a test of some milliseconds.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { INSTRUMENTER_CONSTANTS, type MutantCoverage } from '@stryker-mutator/api/core'
import { declareFactoryPlugin, PluginKind } from '@stryker-mutator/api/plugin'
import {
  determineHitLimitReached,
  type DryRunResult,
  DryRunStatus,
  type MutantRunOptions,
  type MutantRunResult,
  type TestResult,
  type TestRunner,
  TestStatus,
  toMutantRunResult,
} from '@stryker-mutator/api/test-runner'
import { build, type Plugin } from 'esbuild'
import fc from 'fast-check'
import config from '../../vitest.config.ts'
import type { Test } from './standIn.ts'

/** What instrumented sources look at. */
interface Instrumented {
  activeMutant?: string | undefined
  currentTestId?: string | undefined
  hitCount?: number
  hitLimit?: number | undefined
  mutantCoverage?: MutantCoverage
}

const instrumented: Instrumented = {}
Object.assign(globalThis, { [INSTRUMENTER_CONSTANTS.NAMESPACE]: instrumented })
// A mutant that was found is found: there is no need for the shortest example.
fc.configureGlobal({ endOnFailure: true })

const folders = ['packages/core/test', 'packages/client/test/machine']

/** All unit tests of what is mutated, or those that `MUTATION_TESTS` names: a score that fewer tests give can only be too low. */
function testFiles(): string[] {
  const names = process.env.MUTATION_TESTS?.split(',')
  return folders.flatMap((folder) => {
    const found = readdirSync(folder).filter((name) => name.endsWith('.test.ts'))
    return found.filter((name) => names?.includes(name.slice(0, -8)) ?? true).map((name) => resolve(folder, name))
  })
}

/** What a mutant may cost, in ms of the processor: one that no test has found by then has survived. */
const costMsMax = Number(process.env.MUTATION_SECONDS ?? 60) * 1_000

const processorMs = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}

const outdir = resolve('tmp/mutation')
/** What each test costs. */
const costsFile = `${outdir}/costs.json`
const standIn = new URL('standIn.ts', import.meta.url).pathname

/** The names that vitest's configuration stands for, and vitest itself. */
const sources: Plugin = {
  name: 'sources',
  setup({ onResolve }) {
    const aliases = config.resolve?.alias as readonly { readonly find: string | RegExp; readonly replacement: string }[]
    onResolve({ filter: /^(vitest$|#|@posthaste\/)/ }, ({ path }) => {
      if (path === 'vitest') return { path: standIn }
      for (const { find, replacement } of aliases) {
        if (typeof find === 'string' ? path === find : find.test(path)) {
          // The configuration knows the sources as they are; what is run are the changed ones, in this folder.
          return { path: resolve(path.replace(find, replacement).replace(/^.*\/packages\//, 'packages/')) }
        }
      }
      return undefined
    })
  },
}

/** Runs tests in this process: those soonest that cost little and have found much. */
class WarmRunner implements TestRunner {
  #tests: readonly Test[] = []
  #costs = new Map<string, { ms: number; found: number }>()

  capabilities(): { readonly reloadEnvironment: boolean } {
    return { reloadEnvironment: false }
  }

  async #load(): Promise<void> {
    if (this.#tests.length > 0) return
    const files = testFiles()
    const load = files.map((path) => `beginFile(${JSON.stringify(path)}); await import(${JSON.stringify(path)});`)
    const contents = [`import { beginFile, tests } from ${JSON.stringify(standIn)}`, ...load, 'export { tests }'].join('\n')
    await build({
      stdin: { contents, resolveDir: process.cwd(), loader: 'ts' },
      bundle: true,
      splitting: true,
      format: 'esm',
      platform: 'node',
      target: 'node20',
      packages: 'external',
      plugins: [sources],
      entryNames: 'tests',
      outdir,
      outExtension: { '.js': '.mjs' },
      logLevel: 'error',
    })
    const loaded = (await import(pathToFileURL(`${outdir}/tests.mjs`).href)) as { readonly tests: readonly Test[] }
    this.#tests = loaded.tests
    // After an endless loop another process goes on.
    if (existsSync(costsFile)) this.#costs = new Map(JSON.parse(readFileSync(costsFile, 'utf8')))
  }

  async dryRun(): Promise<DryRunResult> {
    await this.#load()
    const results = await this.#run(this.#tests, false)
    writeFileSync(costsFile, JSON.stringify([...this.#costs]))
    const { mutantCoverage } = instrumented
    instrumented.currentTestId = undefined
    return { status: DryRunStatus.Complete, tests: results, ...(mutantCoverage === undefined ? {} : { mutantCoverage }) }
  }

  async mutantRun({ activeMutant, mutantActivation, testFilter, hitLimit }: MutantRunOptions): Promise<MutantRunResult> {
    if (mutantActivation === 'static') instrumented.activeMutant = activeMutant.id
    await this.#load()
    Object.assign(instrumented, { activeMutant: activeMutant.id, hitCount: 0, hitLimit, currentTestId: undefined })
    const chosen = testFilter === undefined ? this.#tests : this.#tests.filter(({ id }) => testFilter.includes(id))
    const tests = await this.#run(chosen, true)
    instrumented.activeMutant = undefined
    await this.#prove(tests)
    const result: DryRunResult = { status: DryRunStatus.Complete, tests }
    return toMutantRunResult(determineHitLimitReached(instrumented.hitCount, hitLimit) ?? result)
  }

  /** A test that fails without the mutant too was spoilt by an earlier one: Stryker begins another process, and tries again. */
  async #prove(results: readonly TestResult[]): Promise<void> {
    const failed = this.#tests.find(({ id }) => id === results.at(-1)?.id && results.at(-1)?.status === TestStatus.Failed)
    instrumented.hitLimit = undefined
    await failed?.run()
  }

  async #run(chosen: readonly Test[], isBailing: boolean): Promise<TestResult[]> {
    const weight = ({ id }: Test): number => {
      const cost = this.#costs.get(id)
      return cost === undefined ? 0 : cost.ms / (1 + cost.found)
    }
    const results: TestResult[] = []
    const beginMs = processorMs()
    for (const test of isBailing ? [...chosen].sort((left, right) => weight(left) - weight(right)) : chosen) {
      const { id, file: fileName } = test
      if (!isBailing) instrumented.currentTestId = id
      const testBeginMs = processorMs()
      const failure = await test.run().then(
        () => undefined,
        (error: unknown) => String(error),
      )
      const timeSpentMs = processorMs() - testBeginMs
      const cost = this.#costs.get(id) ?? { ms: Math.max(1, timeSpentMs), found: 0 }
      this.#costs.set(id, cost)
      const base = { id, name: id, fileName, timeSpentMs }
      if (failure === undefined) results.push({ ...base, status: TestStatus.Success })
      else {
        cost.found += 1
        results.push({ ...base, status: TestStatus.Failed, failureMessage: failure })
        if (isBailing) return results
      }
      if (isBailing && processorMs() - beginMs > costMsMax) return results
    }
    return results
  }
}

/** What Stryker looks for. */
export const strykerPlugins = [declareFactoryPlugin(PluginKind.TestRunner, 'warm', () => new WarmRunner())]
