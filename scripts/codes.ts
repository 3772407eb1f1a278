/** Prints the table of codes for PROTOCOL.md, or with `--write` puts it there. */
import { readFileSync, writeFileSync } from 'node:fs'
import { codes } from '../packages/protocol/src/codes.ts'

/** The table of all statuses and error codes as Markdown. */
export function codesTable(): string {
  const rows = codes.map(
    (code) =>
      `| ${code.number} | \`${code.name}\` | ${code.isRetryable ? 'yes' : ''} | ${code.isClosing ? 'yes' : ''} | ${code.text} |`,
  )
  return ['| number | name | retryable | closes | meaning |', '| --- | --- | --- | --- | --- |', ...rows].join('\n')
}

/** PROTOCOL.md with the table in its place. */
export function withCodes(text: string): string {
  return text.replace(
    /(<!-- codes:[^\n]*-->\n)[\s\S]*?(<!-- \/codes -->)/,
    (_all, open, close) => `${open}${codesTable()}\n${close}`,
  )
}

if (process.argv.includes('--write')) {
  const path = new URL('../PROTOCOL.md', import.meta.url)
  writeFileSync(path, withCodes(readFileSync(path, 'utf8')))
} else if (process.argv[1]?.endsWith('codes.ts')) console.log(codesTable())
