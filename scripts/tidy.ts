/** Checks the house rules that neither the compiler nor the linter knows. `npm run tidy` prints what breaks them, and fails then. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { docstrings } from './tidy/docs.ts'
import { importArrows, importCycles } from './tidy/imports.ts'
import { order } from './tidy/order.ts'
import { purity } from './tidy/purity.ts'
import { fileName, fileSize, functionSize } from './tidy/size.ts'
import { type Finding, isHouseSource, openProgram, type Program, type Source } from './tidy/source.ts'
import { idleTests, plainText } from './tidy/text.ts'

const rules: readonly ((source: Source, program: Program) => Finding[])[] = [
  fileSize,
  fileName,
  functionSize,
  importArrows,
  purity,
  order,
  docstrings,
  idleTests,
]

/**
 * What breaks the house rules in these sources.
 * @param overlay texts that stand for the files of these paths, there or not
 */
export function checkSources(root: string, paths: readonly string[], overlay?: ReadonlyMap<string, string>): Finding[] {
  const program = openProgram(root, paths, overlay)
  try {
    const found = program.sources.flatMap((source) => rules.flatMap((rule) => rule(source, program)))
    return [...found, ...importCycles(program.sources)]
  } finally {
    program.close()
  }
}

/** What breaks the rules for the text of any file. Binary files are left out. */
export function checkTexts(root: string, paths: readonly string[]): Finding[] {
  return paths.flatMap((path) => {
    const text = readFileSync(join(root, path), 'utf8')
    return text.includes('\0') ? [] : plainText(path, text)
  })
}

/** All files of the project, tracked or about to be, by their paths from its root. */
export function projectFiles(root: string): string[] {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  })
  return [...new Set(listed.split('\0'))].filter(
    (path) => path !== '' && existsSync(join(root, path)) && statSync(join(root, path)).isFile(),
  )
}

function main(): void {
  const root = dirname(dirname(fileURLToPath(import.meta.url)))
  const files = projectFiles(root)
  const findings = [...checkSources(root, files.filter(isHouseSource)), ...checkTexts(root, files)]
  const sorted = findings.sort((a, b) => a.path.localeCompare(b.path) || a.line - b.line)
  for (const { path, line, rule, message } of sorted) console.log(`${path}:${line} ${rule} ${message}`)
  console.log(findings.length === 0 ? `tidy: ${files.length} files keep the house rules` : `tidy: ${findings.length} findings`)
  if (findings.length > 0) process.exitCode = 1
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) main()
