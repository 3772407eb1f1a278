/** Files of at most 500 lines, functions of at most 60, and no names that say nothing. */
import type { FunctionLikeDeclaration, Node } from 'typescript/unstable/ast'
import { isBlock, isCallExpression, isExpressionStatement, isFunctionLikeDeclaration } from 'typescript/unstable/ast/is'
import { type Finding, isTest, lineOf, type Source, walk } from './source.ts'

const fileLinesMax = 500
const functionLinesMax = 60
const emptyName = /(^|[/.-])(utils?|helpers?|common)([/.-]|$)/i

/** A file that is too long. */
export function fileSize({ path, tree }: Source): Finding[] {
  const lines = tree.text.replace(/\n$/, '').split('\n').length
  if (lines <= fileLinesMax) return []
  return [
    {
      path,
      line: fileLinesMax + 1,
      rule: 'file-size',
      message: `${lines} lines, at most ${fileLinesMax}: split it by what it does`,
    },
  ]
}

/** A file or folder whose name says nothing of what is in it. */
export function fileName({ path }: Source): Finding[] {
  const match = emptyName.exec(path)
  if (match === null) return []
  return [{ path, line: 1, rule: 'file-name', message: `'${match[2]}' says nothing: name it after what it does` }]
}

/** Functions that are too long. In tests those that are lists of tests are exempt. */
export function functionSize(source: Source): Finding[] {
  const findings: Finding[] = []
  walk(source.tree, (node) => {
    if (!isFunctionLikeDeclaration(node) || (isTest(source.path) && isTestBlock(node))) return undefined
    const line = lineOf(source, node)
    const lines = source.tree.getLineAndCharacterOfPosition(node.end).line + 2 - line
    if (lines > functionLinesMax) {
      const message = `${lines} lines, at most ${functionLinesMax}: split it by what it does`
      findings.push({ path: source.path, line, rule: 'function-size', message })
    }
    return undefined
  })
  return findings
}

/** Whether a function is given to `describe` or `test`, or is a suite of them for several implementations. */
function isTestBlock(node: FunctionLikeDeclaration): boolean {
  if (isTestCall(node.parent)) return true
  const { body } = node
  return (
    body !== undefined &&
    isBlock(body) &&
    body.statements.some((line) => isExpressionStatement(line) && isTestCall(line.expression))
  )
}

function isTestCall(node: Node): boolean {
  return isCallExpression(node) && /^(describe|test|it|suite)\b/.test(node.expression.getText())
}
