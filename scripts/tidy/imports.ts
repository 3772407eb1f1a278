/** Which part may import which, and no cycles: `protocol ← core ← server`, `protocol ← client ← console`. */
import { posix } from 'node:path'
import {
  isCallExpression,
  isExportDeclaration,
  isImportDeclaration,
  isImportTypeNode,
  isLiteralTypeNode,
  isStringLiteral,
} from 'typescript/unstable/ast/is'
import { SyntaxKind } from 'typescript/unstable/ast'
import type { Node } from 'typescript/unstable/ast'
import { type Finding, lineOf, type Source, walk } from './source.ts'

interface Part {
  /** The folder, as the beginning of paths. */
  readonly folder: string
  /** The packages of this project that it may import. */
  readonly packages: readonly string[]
  /** Whether it may import anything from outside of this project. */
  readonly isPure: boolean
}

/** What only tests and the simulator use of the client: it knows the core, which the client must not. */
const testing = 'packages/client/src/testing/'

/** The first one that a path lies in counts. */
const parts: readonly Part[] = [
  { folder: 'packages/protocol/src/', packages: [], isPure: true },
  { folder: 'packages/core/src/', packages: ['protocol'], isPure: true },
  { folder: 'packages/client/src/machine/', packages: ['protocol'], isPure: true },
  { folder: testing, packages: ['protocol', 'core'], isPure: false },
  { folder: 'packages/client/src/', packages: ['protocol'], isPure: false },
  { folder: 'packages/server/src/', packages: ['protocol', 'core', 'client'], isPure: false },
  { folder: 'packages/console/src/', packages: ['client'], isPure: false },
]

interface Import {
  readonly specifier: string
  readonly line: number
}

/** Imports against the arrows. */
export function importArrows(source: Source): Finding[] {
  const part = parts.find(({ folder }) => source.path.startsWith(folder))
  if (part === undefined) return []
  return importsOf(source).flatMap(({ specifier, line }) => {
    const message = arrowFault(part, source.path, specifier)
    return message === undefined ? [] : [{ path: source.path, line, rule: 'import-arrow', message }]
  })
}

function arrowFault(part: Part, path: string, specifier: string): string | undefined {
  const name = /^@posthaste\/(\w+)/.exec(specifier)?.[1]
  if (name !== undefined) return part.packages.includes(name) ? undefined : `${part.folder} may not import @posthaste/${name}`
  if (!specifier.startsWith('.')) return part.isPure ? `${part.folder} is pure: it may not import '${specifier}'` : undefined
  const target = posix.join(posix.dirname(path), specifier)
  // A pure room that reaches out of itself within its package would not be pure any more.
  const room = part.isPure ? part.folder : path.split('/').slice(0, 3).join('/')
  const isTesting = target.startsWith(testing) && !path.startsWith(testing)
  return target.startsWith(room) && !isTesting ? undefined : `${part.folder} may not import ${target}`
}

/** Groups of files that import each other, directly or by way of others; imports of types count. */
export function importCycles(sources: readonly Source[]): Finding[] {
  const graph = new Map(
    sources.map((source) => [source.path, importsOf(source).map(({ specifier }) => resolved(source.path, specifier))]),
  )
  const cycles = new Map<string, string[]>()
  for (const path of graph.keys()) {
    const cycle = shortestCycle(graph, path)
    const members = cycle === undefined ? '' : [...cycle].sort().join()
    if (cycle !== undefined && !cycles.has(members)) cycles.set(members, cycle)
  }
  return [...cycles.values()].map((cycle) => ({
    path: cycle[0] ?? '',
    line: 1,
    rule: 'import-cycle',
    message: [...cycle, cycle[0]].join(' → '),
  }))
}

function shortestCycle(graph: ReadonlyMap<string, readonly string[]>, start: string): string[] | undefined {
  const cameFrom = new Map<string, string>()
  const queue = [start]
  for (const path of queue) {
    for (const next of graph.get(path) ?? []) {
      if (next === start) return wayBack(cameFrom, start, path)
      if (cameFrom.has(next)) continue
      cameFrom.set(next, path)
      queue.push(next)
    }
  }
  return undefined
}

function wayBack(cameFrom: ReadonlyMap<string, string>, start: string, end: string): string[] {
  const way = [end]
  for (let path = end; path !== start; ) {
    path = cameFrom.get(path) ?? start
    way.unshift(path)
  }
  return way
}

function resolved(path: string, specifier: string): string {
  return specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : specifier
}

function importsOf(source: Source): Import[] {
  const imports: Import[] = []
  walk(source.tree, (node) => {
    const specifier = specifierOf(node)
    if (specifier !== undefined && isStringLiteral(specifier))
      imports.push({ specifier: specifier.text, line: lineOf(source, node) })
    return undefined
  })
  return imports
}

function specifierOf(node: Node): Node | undefined {
  if (isImportDeclaration(node) || isExportDeclaration(node)) return node.moduleSpecifier
  if (isCallExpression(node) && node.expression.kind === SyntaxKind.ImportKeyword) return node.arguments[0]
  return isImportTypeNode(node) && isLiteralTypeNode(node.argument) ? node.argument.literal : undefined
}
