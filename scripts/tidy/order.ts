/**
 * In the core nothing iterates a Map or a Set (I11): their order is that of insertion, which a shard restored from a checkpoint
 * does not share with the one that never stopped. Where the order can't be observed, a comment `// order: …` says why.
 */
import type { Node } from 'typescript/unstable/ast'
import {
  isArrayBindingPattern,
  isCallExpression,
  isForOfStatement,
  isPropertyAccessExpression,
  isSpreadElement,
  isVariableDeclaration,
} from 'typescript/unstable/ast/is'
import { type Finding, lineOf, type Program, type Source, walk } from './source.ts'

const room = 'packages/core/src/'
const unordered = new Set(['Map', 'Set', 'ReadonlyMap', 'ReadonlySet'])
const iterating = new Set(['forEach', 'keys', 'values', 'entries'])

/** Iterations over a Map or a Set. */
export function order(source: Source, program: Program): Finding[] {
  if (!source.path.startsWith(room)) return []
  const lines = source.tree.text.split('\n')
  const findings: Finding[] = []
  walk(source.tree, (node) => {
    const iterated = iteratedBy(node)
    if (iterated === undefined || !isUnordered(iterated, program)) return undefined
    const line = lineOf(source, node)
    const isExplained = [lines[line - 1], lines[line - 2]].some((text) => /\/\/ order: \S/.test(text ?? ''))
    const message = `the order of '${iterated.getText(source.tree)}' may be observed: scan something ordered, or say why not in '// order: …'`
    if (!isExplained) findings.push({ path: source.path, line, rule: 'order', message })
    return undefined
  })
  return findings
}

/** What a node iterates in its own order, if it does. */
function iteratedBy(node: Node): Node | undefined {
  if (isForOfStatement(node) || isSpreadElement(node)) return node.expression
  if (isVariableDeclaration(node) && isArrayBindingPattern(node.name)) return node.initializer
  if (!isCallExpression(node) || !isPropertyAccessExpression(node.expression)) return undefined
  const { expression, name } = node.expression
  if (iterating.has(name.text)) return expression
  return /^(Array\.from|Object\.fromEntries)$/.test(node.expression.getText()) ? node.arguments[0] : undefined
}

function isUnordered(node: Node, { checker }: Program): boolean {
  const type = checker.getTypeAtLocation(node)
  const certain = type === undefined ? undefined : (checker.getNonNullableType(type) ?? type)
  return unordered.has(certain?.getSymbol()?.name ?? '')
}
