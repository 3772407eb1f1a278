import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Groups } from '../../packages/client/src/groups.ts'
import { Posthaste } from '../../packages/client/src/posthaste.ts'
import { codes } from '../../packages/protocol/src/codes.ts'
import { isAsShown, type Section, sectionsOf, snippetsOf } from './snippets.ts'
import { Stage } from './stage.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const guide = readFileSync(join(root, 'docs', 'guide.md'), 'utf8')
const snippets = snippetsOf(guide)
const sections = sectionsOf(guide)
const snippetLinesMax = 20

const properties = ['body', 'to', 'id', 'id 0', 'type', 'priority', 'expiry', 'expiry 0', 'receipts', 'time', 'status']
const statuses = [...codes.filter(({ number }) => number < 40).map(({ name }) => name), 'new']

/** What an interface of the client's sources declares. */
function membersOf(file: string, name: string): string[] {
  const text = readFileSync(join(root, 'packages', 'client', 'src', file), 'utf8')
  const [, body = ''] = new RegExp(`^export interface ${name} [^\n]*\n(.*?)^}`, 'ms').exec(text) ?? []
  return [...body.matchAll(/^ {2}(?:readonly )?(\w+)\??:/gm)].map(([, member = '']) => member)
}

const methodsOf = ({ prototype }: { prototype: object }) =>
  Object.getOwnPropertyNames(prototype).filter((name) => name !== 'constructor')
const calls = [
  ...methodsOf(Posthaste).map((name) => `${name}(`),
  ...methodsOf(Groups).map((name) => `groups.${name}(`),
  ...membersOf('options.ts', 'PosthasteOptions'),
  ...membersOf('arguments.ts', 'SendOptions'),
  ...membersOf('receiver.ts', 'ReceiveOptions'),
  ...membersOf('observers.ts', 'PosthasteEvents'),
]

const stage = new Stage()
beforeAll(() => stage.open())
afterAll(() => stage.close())

const snippetsIn = ({ line, end }: Section) => snippets.filter((snippet) => line < snippet.line && snippet.line < end)

describe('the guide', () => {
  it.each(properties)('shows the property %s, and runs what it shows', (property) => {
    const shown = sections.filter(({ title }) => title === property).flatMap(snippetsIn)
    expect(shown.length, `a section named '${property}' with a snippet`).toBeGreaterThan(0)
  })

  it.each(statuses)('shows the status %s, and that it comes about', (status) => {
    const shown = sections
      .filter(({ title }) => title.split(', ').includes(`\`${status}\``))
      .flatMap(snippetsIn)
      .map(({ output }) => output)
    expect(shown.join('\n'), `a section named '\`${status}\`' with a snippet that prints it`).toContain(status)
  })

  it.each(calls)('lists %s among all calls', (call) => {
    const { line, end } = sections.find(({ title }) => title === 'All calls') ?? { line: 0, end: 0 }
    const listed = guide
      .split('\n')
      .slice(line, end)
      .filter((text) => text.startsWith('| '))
    expect(listed.join('\n')).toContain(call.endsWith('(') ? `\`${call}` : `\`${call}\``)
  })

  it('keeps its snippets short', () => {
    const long = snippets.filter(({ code }) => code.split('\n').length > snippetLinesMax)
    expect(long.map(({ line }) => line)).toEqual([])
  })

  it.each(snippets)('is right about $heading (line $line)', async (snippet) => {
    const printed = await stage.run(snippet)
    // The whole texts, where they differ.
    if (!isAsShown(printed, snippet.output)) expect(printed).toBe(snippet.output)
  })

  it('has snippets that compile as they stand', async () => {
    for (const snippet of snippets.filter(({ language }) => language === 'ts')) stage.save(snippet)
    const options = {
      ...{ target: 'ES2022', module: 'NodeNext', moduleDetection: 'force', lib: ['ES2023'], types: ['node'] },
      ...{ strict: true, noUnusedLocals: true, skipLibCheck: true, noEmit: true, allowImportingTsExtensions: true },
    }
    writeFileSync(join(stage.directory, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, include: ['*.ts'] }))
    expect(await stage.shell('npx tsc')).toBe('')
  })
})

describe('what a document shows', () => {
  it.each([
    ['sent 12', 'sent …', true],
    ['sent 12\nread', 'sent …', false],
    ['a\nb\nc', 'a\n…\nc', true],
    ['a\nc', 'a\n…\nc', true],
    ['a\nb', 'a\n…\nc', false],
    ['a.b', 'a+b', false],
    ['aab', 'a+b', false],
    ['anything', '', false],
    ['', '', true],
  ])('says of %j whether it is as shown in %j: %j', (printed, shown, isSame) => {
    expect(isAsShown(printed, shown)).toBe(isSame)
  })
})
