import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Finding } from './tidy/source.ts'
import { checkSources, checkTexts } from './tidy.ts'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const core = 'packages/core/src/planted'
const server = 'packages/server/src/planted'
const inTests = 'packages/core/test/planted'

/** Text of so many lines. */
const lines = (count: number): string => '\n'.repeat(count)
/** A map in the core, and something done with it. */
const withMap = (text: string): string => `const map: ReadonlyMap<string, number> = new Map()\n${text}\nexport {}`

interface Planted {
  readonly path: string
  readonly text: string
  /** What must be found: line and rule. */
  readonly found: readonly string[]
}

const violations: readonly Planted[] = [
  { path: `${core}-1.ts`, text: `export {}${lines(500)}//`, found: ['501 file-size'] },
  { path: `${core}-2.ts`, text: `/** D. */\nexport function f(): void {${lines(60)}}`, found: ['2 function-size'] },
  { path: `${core}-3.ts`, text: `/** D. */\nexport class C {\n  m(): void {${lines(60)}}\n}`, found: ['3 function-size'] },
  { path: `${inTests}-4.ts`, text: `export const f = (): void => {${lines(60)}}`, found: ['1 function-size'] },
  { path: `${server}/utils.ts`, text: 'export {}', found: ['1 file-name'] },
  { path: `${server}/helpers/a.ts`, text: 'export {}', found: ['1 file-name'] },
  { path: `${server}/string-common.ts`, text: 'export {}', found: ['1 file-name'] },
  { path: 'packages/protocol/src/planted-1.ts', text: "import '@posthaste/core'", found: ['1 import-arrow'] },
  { path: `${core}-5.ts`, text: "\nimport type {} from '@posthaste/client'", found: ['2 import-arrow'] },
  { path: `${core}-6.ts`, text: "import 'node:fs'", found: ['1 import-arrow'] },
  { path: `${core}-7.ts`, text: "export * from '../../protocol/src/index.ts'", found: ['1 import-arrow'] },
  { path: 'packages/client/src/planted-1.ts', text: "import '@posthaste/core'", found: ['1 import-arrow'] },
  { path: 'packages/client/src/planted-2.ts', text: "import './testing/index.ts'", found: ['1 import-arrow'] },
  { path: 'packages/client/src/machine/planted-1.ts', text: "import '../stores/node.ts'", found: ['1 import-arrow'] },
  {
    path: 'packages/client/src/planted-3.ts',
    text: "export const f = () => import('@posthaste/server')",
    found: ['1 docstring', '1 import-arrow'],
  },
  {
    path: 'packages/client/src/planted-4.ts',
    text: "/** D. */\nexport type T = import('@posthaste/server').T",
    found: ['2 import-arrow'],
  },
  { path: `${server}-a.ts`, text: "import './planted-b.ts'", found: ['1 import-cycle'] },
  { path: `${server}-b.ts`, text: "import './planted-c.ts'", found: [] },
  { path: `${server}-c.ts`, text: "export type {} from './planted-a.ts'", found: [] },
  {
    path: `${core}-8.ts`,
    text: 'const f = async () => 1\nawait f()\nfor await (const _ of []);\nexport {}',
    found: ['1 purity', '2 purity', '3 purity'],
  },
  {
    path: `${core}-9.ts`,
    text: 'Date.now()\nnew Date()\nMath.random()\nsetTimeout(f)\nfunction f() {}',
    found: ['1 purity', '2 purity', '3 purity', '4 purity'],
  },
  {
    path: `${core}-10.ts`,
    text: 'Promise.resolve()\nlet p: Promise<void>\nconsole.log(process)',
    found: ['1 purity', '2 purity', '3 purity', '3 purity'],
  },
  {
    path: 'packages/client/src/machine/planted-2.ts',
    text: "fetch('/')\nnew WebSocket('')\ncrypto",
    found: ['1 purity', '2 purity', '3 purity'],
  },
  {
    path: 'packages/protocol/src/planted-2.ts',
    text: 'performance.now()\nqueueMicrotask(f)\nglobalThis\nfunction f() {}',
    found: ['1 purity', '2 purity', '3 purity'],
  },
  { path: `${core}-11.ts`, text: withMap('for (const [k] of map) void k'), found: ['2 order'] },
  { path: `${core}-12.ts`, text: withMap('map.forEach(() => undefined)\nmap.keys()'), found: ['2 order', '3 order'] },
  {
    path: `${core}-13.ts`,
    text: withMap('void [...map]\nArray.from(map)\nconst [a] = new Set([1])'),
    found: ['2 order', '3 order', '4 order'],
  },
  { path: `${core}-14.ts`, text: withMap('declare const o: { s?: Set<number> }\no.s?.values()'), found: ['3 order'] },
  { path: `${core}-15.ts`, text: withMap('// order:\nmap.values()'), found: ['3 order'] },
  {
    path: `${core}-16.ts`,
    text: 'export function f() {}\nexport class C {}\nexport type T = 1\nexport interface I {}\nexport const a = 1',
    found: [1, 2, 3, 4, 5].map((line) => `${line} docstring`),
  },
  { path: 'scripts/planted.ts', text: '// No docstring.\nexport const a = 1', found: ['2 docstring'] },
  {
    path: `${inTests}-1.test.ts`,
    text: "import { test } from 'vitest'\ntest.only('', () => {})\ntest.skip('', () => {})\ntest.todo('')",
    found: ['2 idle-test', '3 idle-test', '4 idle-test'],
  },
  {
    path: `${inTests}-2.test.ts`,
    text: "import { describe } from 'vitest'\ndescribe.skip.each([])('', () => {})",
    found: ['2 idle-test'],
  },
]

const innocents: readonly Planted[] = [
  { path: `${core}-20.ts`, text: `export {}${lines(499)}`, found: [] },
  { path: `${core}-21.ts`, text: `/** D. */\nexport function f(): void {${lines(59)}}`, found: [] },
  {
    path: `${inTests}-20.ts`,
    text: `import { test } from 'vitest'\ntest('', () => {${lines(99)}})\nexport function suite(): void {\n${lines(99)}test('', () => {})}`,
    found: [],
  },
  { path: `${core}-22.ts`, text: "import '@posthaste/protocol'\nimport './planted-20.ts'", found: [] },
  { path: 'packages/client/src/testing/planted-20.ts', text: "import '@posthaste/core'", found: [] },
  { path: `${server}-20.ts`, text: "import 'node:fs'\nimport '@posthaste/client/node'\nvoid Date.now()", found: [] },
  {
    path: `${core}-23.ts`,
    text: 'const o = { Date: 1, process: 2 }\nvoid o.Date\nfunction f(process: number) { return process }\nvoid f',
    found: [],
  },
  {
    path: `${core}-24.ts`,
    text: withMap('map.values() // order: only summed up\n// order: only summed up\nfor (const [k] of map) void k'),
    found: [],
  },
  {
    path: `${core}-25.ts`,
    text: withMap('[1].forEach(() => 1)\nfor (const n of [1].keys()) void n\nvoid map.get("")'),
    found: [],
  },
  { path: `${server}-21.ts`, text: withMap('for (const [k] of map) void k'), found: [] },
  {
    path: `${core}-26.ts`,
    text: '/** D. */\nexport function f(n: 1): 1\nexport function f(n: 2): 2\nexport function f(n: number) { return n }\nfunction g() {}\nvoid g',
    found: [],
  },
  {
    path: `${inTests}-21.test.ts`,
    text: "import { test } from 'vitest'\ntest.skipIf(false)('', () => {})\ntest.each([])('', () => {})\nexport const a = { only: 1 }.only",
    found: [],
  },
]

let findings: readonly Finding[] = []

beforeAll(() => {
  const planted = [...violations, ...innocents]
  findings = checkSources(
    root,
    planted.map(({ path }) => path),
    new Map(planted.map(({ path, text }) => [path, text])),
  )
})

const foundIn = (path: string): string[] =>
  findings.filter((finding) => finding.path === path).map(({ line, rule }) => `${line} ${rule}`)

describe('the house rules', () => {
  test.each(violations)('find what breaks them in $path: $found', ({ path, found }) => {
    expect(foundIn(path).sort()).toEqual([...found].sort())
  })

  test.each(innocents)('find nothing in $path', ({ path }) => {
    expect(foundIn(path)).toEqual([])
  })

  test('name all files of a cycle in their order', () => {
    const cycle = ['a', 'b', 'c', 'a'].map((name) => `${server}-${name}.ts`).join(' → ')
    expect(findings.filter(({ rule }) => rule === 'import-cycle').map(({ message }) => message)).toEqual([cycle])
  })
})

describe('the rules for texts', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidy-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  // In pieces, lest this file break the rules itself.
  const pieced = (...pieces: string[]): string => pieces.join('')

  test.each([
    ['an unfinished mark', pieced('// TO', 'DO: later'), ['1 marker']],
    ['another unfinished mark', pieced('ok\n# FIX', 'ME'), ['2 marker']],
    ['a path of one machine', pieced('see /ho', 'me/me/x'), ['1 machine']],
    ['a path of another machine', pieced('"/ro', 'ot/.cache"'), ['1 machine']],
    ['the host of a registry', pieced('"resolved": "https://reg', 'istry.example.org/a.tgz"'), ['1 machine']],
    ['paths that only look alike', 'packages/core/work/x and ~/home/x, TODOs, https://example.org/registry', []],
    ['a binary file', pieced('\0 TO', 'DO'), []],
  ])('%s', (_name, text, found) => {
    writeFileSync(join(folder, 'planted'), text)
    expect(checkTexts(folder, ['planted']).map(({ line, rule }) => `${line} ${rule}`)).toEqual(found)
  })
})
