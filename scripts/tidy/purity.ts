/** Pure rooms take events and return effects: no I/O, clock, randomness, timers or waiting. */
import { type Identifier, type Node, SyntaxKind } from 'typescript/unstable/ast'
import {
  isAwaitExpression,
  isForOfStatement,
  isIdentifier,
  isPropertyAccessExpression,
  isTypeReferenceNode,
} from 'typescript/unstable/ast/is'
import { type Finding, lineOf, type Program, type Source, walk } from './source.ts'

const pureRooms = ['packages/protocol/src/', 'packages/core/src/', 'packages/client/src/machine/']
  // A schedule must follow from its seed alone.
  .concat(['sim/world/', 'sim/plan/', 'sim/checker/', 'sim/run.ts', 'sim/shrink.ts', 'sim/history.ts'])
/** Memory stands in for the durable ports, whose methods give promises; it decides nothing. */
const promiseRooms = ['packages/core/src/memory/']
/** The ports are only shapes: types of promises, no values. */
const promiseTypes = ['packages/core/src/ports.ts', 'sim/world/', ...promiseRooms]

const impure = new Set(
  ['Date', 'performance', 'crypto', 'setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'requestAnimationFrame']
    .concat(['process', 'console', 'fetch', 'WebSocket', 'XMLHttpRequest', 'EventSource', 'BroadcastChannel', 'Worker'])
    .concat([
      'indexedDB',
      'localStorage',
      'sessionStorage',
      'navigator',
      'document',
      'window',
      'globalThis',
      'require',
      'Promise',
    ]),
)

/** What a pure room may not use. */
export function purity(source: Source, program: Program): Finding[] {
  if (!pureRooms.some((room) => source.path.startsWith(room))) return []
  const findings: Finding[] = []
  walk(source.tree, (node) => {
    const message = faultOf(node, source, program)
    if (message !== undefined) findings.push({ path: source.path, line: lineOf(source, node), rule: 'purity', message })
    return undefined
  })
  return findings
}

function faultOf(node: Node, source: Source, program: Program): string | undefined {
  const mayPromise = promiseRooms.some((room) => source.path.startsWith(room))
  const isWaiting =
    isAwaitExpression(node) ||
    node.kind === SyntaxKind.AsyncKeyword ||
    (isForOfStatement(node) && node.awaitModifier !== undefined)
  if (isWaiting) return mayPromise ? undefined : 'a pure room does not wait: no async, no await'
  if (isPropertyAccessExpression(node) && node.getText(source.tree) === 'Math.random')
    return "a pure room has no randomness: no 'Math.random'"
  if (!isIdentifier(node) || !impure.has(node.text) || !isGlobal(node, program)) return undefined
  if (
    node.text === 'Promise' &&
    (mayPromise || (isTypeReferenceNode(node.parent) && promiseTypes.some((room) => source.path.startsWith(room))))
  )
    return undefined
  return `a pure room has no I/O, clock, randomness or timers: no '${node.text}'`
}

/** Whether the name means what the platform declares, and not a property or a variable of the project. */
function isGlobal(node: Identifier, { root, checker }: Program): boolean {
  const { parent } = node
  if (isPropertyAccessExpression(parent) && parent.name === node) return false
  const declarations = checker.getSymbolAtLocation(node)?.declarations ?? []
  return !declarations.some(({ path }) => path.startsWith(`${root}/`) && !path.includes('/node_modules/'))
}
