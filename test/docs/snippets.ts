/** What a document shows to be run: its fenced blocks, in their order. */
export interface Snippet {
  readonly language: 'ts' | 'sh'
  /** The name under which later snippets import it; `undefined` for those that stand alone. */
  readonly name: string | undefined
  /** The line of its fence, from 1. */
  readonly line: number
  /** The nearest heading above it. */
  readonly heading: string
  readonly code: string
  /** What it prints, as the block that follows shows it; `…` stands for anything. */
  readonly output: string
}

/** A heading, and where its text ends. */
export interface Section {
  readonly title: string
  /** From 1; the section's lines are `line` ≤ n < `end`, those of its subsections included. */
  readonly line: number
  readonly end: number
}

interface Block {
  readonly info: readonly string[]
  readonly line: number
  readonly endLine: number
  readonly text: string
}

/** The snippets of a document: blocks fenced as `ts run`, `ts run NAME.ts` or `sh run`, each with the `text` block that follows it. */
export function snippetsOf(markdown: string): Snippet[] {
  const blocks = blocksOf(markdown)
  const headings = sectionsOf(markdown)
  return blocks.flatMap((block, at) => {
    const [language, run, name] = block.info
    if (run !== 'run') return []
    if (language !== 'ts' && language !== 'sh') throw new Error(`Line ${block.line}: a snippet in ${language} can't be run.`)
    const next = blocks[at + 1]
    const output = next?.info[0] === 'text' && isRightAfter(markdown, block, next) ? next.text : ''
    const heading = headings.findLast(({ line }) => line < block.line)?.title ?? ''
    return [{ language, name, line: block.line, heading, code: block.text, output }]
  })
}

/** The headings of a document, those inside of fences left out. */
export function sectionsOf(markdown: string): Section[] {
  const lines = markdown.split('\n')
  const fenced = blocksOf(markdown)
  const found = lines.flatMap((text, index) => {
    const match = /^(#+) (.+)$/.exec(text)
    const line = index + 1
    if (match === null || fenced.some((block) => block.line < line && line < block.endLine)) return []
    return [{ title: match[2] ?? '', depth: match[1]?.length ?? 0, line }]
  })
  return found.map(({ title, depth, line }, at) => {
    const next = found.slice(at + 1).find((other) => other.depth <= depth)
    return { title, line, end: next?.line ?? lines.length + 1 }
  })
}

/**
 * Whether what was printed is what the document shows: `…` within a line stands for anything in that line, a line that is
 * nothing else for any lines.
 */
export function isAsShown(printed: string, shown: string): boolean {
  const pattern = shown
    .split('\n')
    .map((line) => (line === '…' ? '(?:.*\\n)*?' : `${line.split('…').map(escaped).join('.*')}\\n`))
    .join('')
  const lines = printed === '' || printed.endsWith('\n') ? printed : `${printed}\n`
  return shown === '' ? lines === '' : new RegExp(`^${pattern}$`, 'u').test(lines)
}

function escaped(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
}

function isRightAfter(markdown: string, block: Block, next: Block): boolean {
  const between = markdown.split('\n').slice(block.endLine, next.line - 1)
  return between.every((line) => line.trim() === '')
}

function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = []
  let open: { info: string[]; line: number; lines: string[] } | undefined
  for (const [index, text] of markdown.split('\n').entries()) {
    if (open === undefined) {
      if (text.startsWith('```')) open = { info: text.slice(3).split(' '), line: index + 1, lines: [] }
    } else if (text === '```') {
      blocks.push({ info: open.info, line: open.line, endLine: index + 1, text: open.lines.join('\n') })
      open = undefined
    } else open.lines.push(text)
  }
  if (open !== undefined) throw new Error(`Line ${open.line}: the block does not end.`)
  return blocks
}
