/** What no file of the project may hold: marks of unfinished work, tests that do not run, paths and hosts of one machine. */
import { isIdentifier, isPropertyAccessExpression } from 'typescript/unstable/ast/is'
import { type Finding, isTest, lineOf, type Source, walk } from './source.ts'

const patterns = [
  {
    rule: 'marker',
    pattern: /\b(?:TO(?:DO)|FIX(?:ME)|XX(?:X))\b/,
    message: 'do it now, or write it down where the project keeps what is open',
  },
  { rule: 'machine', pattern: /(?<![\w.~@/-])\/(?:work|root|home)\//, message: 'a path of one machine' },
  {
    rule: 'machine',
    pattern: /https?:\/\/[^\s"'/]*(?:registry|npmjs|pypi|artifactory|verdaccio|nexus)/,
    message: 'the host of a package registry',
  },
]

/** Marks of unfinished work, and paths and hosts of one machine, in the text of any file. */
export function plainText(path: string, text: string): Finding[] {
  return text.split('\n').flatMap((content, index) =>
    patterns
      .filter(({ pattern }) => pattern.test(content))
      .map(({ rule, message, pattern }) => ({
        path,
        line: index + 1,
        rule,
        message: `'${pattern.exec(content)?.[0]}': ${message}`,
      })),
  )
}

const testWords = /^(describe|test|it|suite)$/
const idle = new Set(['only', 'skip', 'todo', 'fails'])

/** Tests that do not run, or keep others from running. `skipIf` and `runIf` are allowed: their condition is the reason. */
export function idleTests(source: Source): Finding[] {
  if (!isTest(source.path)) return []
  const findings: Finding[] = []
  walk(source.tree, (node) => {
    if (!isPropertyAccessExpression(node) || !idle.has(node.name.text)) return undefined
    let first = node.expression
    while (isPropertyAccessExpression(first)) first = first.expression
    if (!isIdentifier(first) || !testWords.test(first.text)) return undefined
    const message = `'${node.getText(source.tree)}': every test runs, or is not there`
    findings.push({ path: source.path, line: lineOf(source, node), rule: 'idle-test', message })
    return undefined
  })
  return findings
}
