/** Everything that a source exports says what it is for. */
import { type Node, type Statement, SyntaxKind } from 'typescript/unstable/ast'
import {
  isClassDeclaration,
  isFunctionDeclaration,
  isInterfaceDeclaration,
  isTypeAliasDeclaration,
  isVariableStatement,
} from 'typescript/unstable/ast/is'
import { type Finding, isTest, lineOf, type Source } from './source.ts'

/** The fields and shapes of packets are tables; `PROTOCOL.md` says what each is for, and a test that it names them all. */
const exempt = ['packages/protocol/src/packets/']

/** Exported declarations without a docstring. */
export function docstrings(source: Source): Finding[] {
  if (isTest(source.path) || exempt.some((folder) => source.path.startsWith(folder))) return []
  const documented = new Set<string>()
  return source.tree.statements.flatMap((statement) => {
    const name = exportedName(statement)
    // Of a function's overloads the first one speaks for all.
    if (name === undefined || documented.has(name)) return []
    if (statement.jsDoc !== undefined && statement.jsDoc.length > 0) {
      documented.add(name)
      return []
    }
    return [
      {
        path: source.path,
        line: lineOf(source, statement),
        rule: 'docstring',
        message: `'${name}' is exported and does not say what it is for`,
      },
    ]
  })
}

function exportedName(statement: Statement): string | undefined {
  const name = declaredName(statement)
  if (name === undefined || !('modifiers' in statement)) return undefined
  const modifiers = statement.modifiers as readonly Node[] | undefined
  return modifiers?.some(({ kind }) => kind === SyntaxKind.ExportKeyword) === true ? name.getText() : undefined
}

function declaredName(statement: Statement): Node | undefined {
  if (isVariableStatement(statement)) return statement.declarationList.declarations[0]?.name
  const isDeclaration =
    isFunctionDeclaration(statement) ||
    isClassDeclaration(statement) ||
    isInterfaceDeclaration(statement) ||
    isTypeAliasDeclaration(statement)
  return isDeclaration ? (statement.name ?? statement) : undefined
}
