/** The sources as the rules see them: parsed, with types, by the project's own compiler. */
import { join } from 'node:path'
import type { Node, SourceFile } from 'typescript/unstable/ast'
import { API, type Checker } from 'typescript/unstable/sync'

/** What a rule found: one line of the output. */
export interface Finding {
  readonly path: string
  /** From 1. */
  readonly line: number
  readonly rule: string
  readonly message: string
}

/** A source file: its path from the root of the project, and its syntax tree. */
export interface Source {
  readonly path: string
  readonly tree: SourceFile
}

/** All sources, and what tells their types. */
export interface Program {
  readonly root: string
  readonly sources: readonly Source[]
  readonly checker: Checker
  /** Ends the compiler. */
  close(): void
}

/** The sources that the house rules hold for. */
export const isHouseSource = (path: string): boolean =>
  /^(packages\/[^/]+\/(src|test)|sim|test|bench|scripts)\/.*\.tsx?$/.test(path)

/** Whether a source is a test, or only used by tests. */
export const isTest = (path: string): boolean => /^(packages\/[^/]+\/)?test\/|\.test\.ts$/.test(path)

/**
 * Parses these sources as one program.
 * @param overlay texts that stand for the files of these paths, there or not
 */
export function openProgram(root: string, paths: readonly string[], overlay: ReadonlyMap<string, string> = new Map()): Program {
  const config = join(root, 'tsconfig.tidy.json')
  const contents = new Map([...overlay].map(([path, text]) => [join(root, path), text]))
  contents.set(
    config,
    JSON.stringify({ extends: './test/tsconfig.json', compilerOptions: { noEmit: true }, include: [], files: paths }),
  )
  const api = new API({
    cwd: root,
    fs: { readFile: (path) => contents.get(path), fileExists: (path) => (contents.has(path) ? true : undefined) },
  })
  const project = api.updateSnapshot({ openProjects: [config] }).getProject(config)
  if (project === undefined) throw new Error('the compiler could not open the sources')
  const sources = paths.map((path) => {
    const tree = project.program.getSourceFile(join(root, path))
    if (tree === undefined) throw new Error(`the compiler could not read ${path}`)
    return { path, tree }
  })
  return { root, sources, checker: project.checker, close: () => api.close() }
}

/** The line of a node, from 1. */
export function lineOf(source: Source, node: Node): number {
  return source.tree.getLineAndCharacterOfPosition(node.getStart(source.tree)).line + 1
}

/** Calls `visit` with every node of the tree below and including this one; children are left out where it returns `false`. */
export function walk(node: Node, visit: (node: Node) => boolean | undefined): void {
  if (visit(node) === false) return
  node.forEachChild((child) => walk(child, visit))
}
