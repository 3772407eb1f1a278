/** Lists the checks of each invariant from the names of the tests; with `--write` puts the lists into INVARIANTS.md. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The invariants, in the words of the design. */
export const invariants: readonly (readonly [name: string, text: string])[] = [
  [
    'I1',
    'No loss. A message whose sender was told *sent* is stored by a device of the destination, or ends *expired* or *removed*.',
  ],
  [
    'I2',
    "No duplicate. While its key lives, no device's inbox receives the same (destination, sender, id) twice, whatever was retried, by whomever. (Id 0 aside.)",
  ],
  ['I3', 'Lane order. Per (log, lane), every device stores entries in seq order, and all devices agree.'],
  [
    'I4',
    'Sender order. What one device sends to one destination in one lane is stored in the order sent. (Id 0 and expiry 0 aside.)',
  ],
  ['I5', 'Never late. No device stores an entry after its deadline, by its latest possible estimate of server time.'],
  [
    'I6',
    'Honest status. Monotone; *sent* survives any crash; *delivered* only if a device has it; ignorance is *unknown*, never a guess.',
  ],
  [
    'I7',
    'Priority. The next entry comes from the highest waiting priority, within it from the log that waited longest; after 64 entries in a row from above, the longest-waiting lower lane gets one.',
  ],
  ['I8', 'Conflicts are told, never swallowed.'],
  ['I9', "Rights. Nobody receives, or learns of, what they may not: judged in the shard, at the entry's place in the order."],
  [
    'I10',
    'Bounds. Every queue, buffer, table and wait has a limit; a slow or hostile peer costs others nothing; nothing with an id is dropped in silence.',
  ],
  ['I11', 'Determinism. Replaying a journal gives byte-identical live state.'],
  [
    'I12',
    'Recovery. After a crash at any instruction, the state is that of a journal prefix that holds all that was acknowledged.',
  ],
]

const root = fileURLToPath(new URL('..', import.meta.url))

/** A test, suite or table of tests whose title names an invariant. What a table lists ends before the next test: it must not take in those. */
const namedTest =
  /\b(?:it|test|describe)(?:\.each\((?:(?!\b(?:it|test|describe)\b[.(])[\s\S])*?\))?\(\s*(['"`][^\n]*?\[I\d[^\n]*)/g

/** The checks that the tests in `files` name, by invariant. */
export function checksOf(
  files: readonly { readonly path: string; readonly text: string }[],
): ReadonlyMap<string, readonly string[]> {
  const checks = new Map<string, string[]>(invariants.map(([name]) => [name, []]))
  for (const { path, text } of files) {
    for (const [, title] of text.matchAll(namedTest)) {
      const name = /^(['"`])((?:\\.|(?!\1).)*)\1/.exec(title ?? '')?.[2]?.replace(/\\(['"`])/g, '$1')
      if (name === undefined) continue
      const named = new Set([...name.matchAll(/\[(I\d+(?:[\s,]+I\d+)*)\]/g)].flatMap(([, list]) => (list ?? '').split(/[\s,]+/)))
      for (const invariant of named) checks.get(invariant)?.push(`\`${path}\`: ${name.replace(/\s*\[I[^\]]*\]\s*/g, ' ').trim()}`)
    }
  }
  return checks
}

/** The test files of the repository; not the one of this script, whose tests stand in texts. */
export function testFiles(): { path: string; text: string }[] {
  const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '*.test.ts', '**/conformance/*.ts'], {
    cwd: root,
    encoding: 'utf8',
  })
  const paths = [...new Set(listed.split('\n').filter((path) => path !== '' && path !== 'scripts/invariants.test.ts'))].sort()
  return paths.map((path) => ({ path, text: readFileSync(`${root}/${path}`, 'utf8') }))
}

/** INVARIANTS.md with the lists in their place. */
export function withChecks(document: string, checks: ReadonlyMap<string, readonly string[]>): string {
  const lists = invariants.map(
    ([name, text]) => `## ${name}\n\n${text}\n\n${(checks.get(name) ?? []).map((check) => `- ${check}`).join('\n')}\n`,
  )
  return document.replace(
    /(<!-- invariants -->\n)[\s\S]*?(<!-- \/invariants -->)/,
    (_all, open, close) => `${open}\n${lists.join('\n')}\n${close}`,
  )
}

if (process.argv[1]?.endsWith('invariants.ts')) {
  const path = `${root}/INVARIANTS.md`
  const written = withChecks(readFileSync(path, 'utf8'), checksOf(testFiles()))
  if (process.argv.includes('--write')) writeFileSync(path, written)
  else console.log(written)
}
