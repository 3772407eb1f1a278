import { copyFileSync, existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sectionsOf } from './snippets.ts'
import { Stage } from './stage.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const textOf = (path: string): string => readFileSync(join(root, path), 'utf8')
const example = 'docs/examples/hello.ts'

const stage = new Stage()
beforeAll(() => stage.open())
afterAll(() => stage.close())

describe('the example in the README', () => {
  it('is the file that it names, in 20 lines', () => {
    expect(textOf('README.md')).toContain(`\`\`\`ts\n${textOf(example)}\`\`\``)
    expect(textOf(example).trimEnd().split('\n').length).toBeLessThanOrEqual(20)
  })

  it('prints what stands below it', async () => {
    copyFileSync(join(root, example), join(stage.directory, 'hello.ts'))
    const printed = await stage.shell('npx tsx hello.ts 2>/dev/null')
    expect(textOf('README.md')).toContain(`\`\`\`text\n${printed}\`\`\``)
    expect(printed).toContain('read')
  })
})

describe.each(['README.md', 'docs/guide.md'])('%s', (path) => {
  it('links to what is there', () => {
    const links = [...textOf(path).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link)
    const broken = links.filter((link) => !link.startsWith('https://') && !isThere(path, link))
    expect(broken).toEqual([])
  })
})

function isThere(from: string, link: string): boolean {
  const [file = '', anchor] = link.split('#')
  const path = file === '' ? from : join(dirname(from), file)
  if (!existsSync(join(root, path))) return false
  return anchor === undefined || sectionsOf(textOf(path)).some(({ title }) => anchorOf(title) === anchor)
}

/** As code hosts make it: lower case, without punctuation, spaces as hyphens. */
function anchorOf(title: string): string {
  return title
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')
}
