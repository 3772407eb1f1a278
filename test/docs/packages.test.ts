import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const names = ['protocol', 'core', 'client', 'server']

interface Package {
  readonly version: string
  readonly files: readonly string[]
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>
  readonly scripts: Readonly<Record<string, string>>
}

function packageOf(name: string): Package {
  return JSON.parse(readFileSync(join(root, 'packages', name, 'package.json'), 'utf8'))
}

/** What an app writes that takes `undefined` for what it leaves out, and disposes of its client. */
const program = `
import { Posthaste, type PosthasteOptions } from '@posthaste/client'
import { indexedDbStore } from '@posthaste/client/indexeddb'
import { memoryStore } from '@posthaste/client/memory'
import { nodeStore } from '@posthaste/client/node'
import { createTestServer } from '@posthaste/client/testing'
declare const maybe: number | undefined
const options: PosthasteOptions = { url: 'ws://localhost', token: 'x', limits: { outboxMessages: maybe }, store: undefined }
const server = createTestServer({ startMs: maybe, flushing: undefined, limits: { connections: maybe }, seed: maybe })
server.client({ user: 'alice', device: undefined, store: undefined, token: undefined, limits: { outboxBytes: maybe } })
export const stores = [indexedDbStore, memoryStore, nodeStore]
export async function main(): Promise<void> {
  await using client = new Posthaste(options)
  client.connect()
}
`

/** What an app writes that runs the server, with what must be given and no more. */
const serving = `
import { startServer } from '@posthaste/server'
const secret = new Uint8Array(32)
export const plain = startServer({ dataDirectory: 'data', auth: { secrets: [secret] }, adminKey: 'key' })
export const left = startServer({ dataDirectory: 'data', auth: { jwks: {}, audience: undefined }, adminKey: 'key', port: undefined })
`

describe('the packages', () => {
  it.each(names)('of %s exports what is built, packs it, and its own package.json', (name) => {
    const { exports, files, scripts } = packageOf(name)
    expect(exports['./package.json']).toBe('./package.json')
    const targets = Object.values(exports).flatMap((target) => (typeof target === 'string' ? [target] : Object.values(target)))
    expect(targets.filter((target) => !existsSync(join(root, 'packages', name, target)))).toEqual([])
    expect(files).toContain('dist')
    expect(scripts.prepack).toContain('tsc -b')
    expect(existsSync(join(root, 'packages', name, 'README.md'))).toBe(true)
  })

  it('have one version', () => {
    expect(new Set(names.map((name) => packageOf(name).version)).size).toBe(1)
  })
})

describe('the types of the packages', () => {
  let directory = ''
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'posthaste-types-'))
    symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'))
    writeFileSync(join(directory, 'package.json'), '{ "type": "module" }\n')
    writeFileSync(join(directory, 'program.ts'), program)
    writeFileSync(join(directory, 'serving.ts'), serving)
  })
  afterAll(() => rmSync(directory, { recursive: true }))

  it.each([
    ['a page', { lib: ['ES2022', 'DOM'], types: [] }, ['program.ts']],
    ['Node', { lib: ['ES2022'], types: ['node'] }, ['program.ts', 'serving.ts']],
  ])('are whole for an app in %s that has nothing newer than ES2022, and checks them all', (_where, where, files) => {
    const strict = { strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false, noEmit: true }
    const compilerOptions = { target: 'ES2022', module: 'NodeNext', ...strict, ...where }
    writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }))
    const tsc = join(root, 'node_modules', '.bin', 'tsc')
    // Not thrown but compared, so that a failure shows what the compiler says.
    let said = ''
    try {
      execFileSync(tsc, ['-p', directory], { cwd: directory, encoding: 'utf8' })
    } catch (error) {
      said = String((error as { stdout?: unknown }).stdout)
    }
    expect(said).toBe('')
  })
})
