/**
 * The project's TypeScript as data for the rules: read once with the compiler's own parser. That interface of
 * the compiler is marked unstable; the compiler's version is pinned, so it changes only when we change it.
 */
import { existsSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SyntaxKind, type Node, type SourceFile } from 'typescript/unstable/ast'
import * as is from 'typescript/unstable/ast/is'
import { API, type Checker } from 'typescript/unstable/sync'

export interface Import {
  /** A path from the project's root for our own files, else the specifier. */
  target: string
  own: boolean
  line: number
}

export interface Source {
  /** From the project's root. */
  path: string
  text: string
  lines: string[]
  imports: Import[]
  /** Files named in texts, as by `new URL('./x.ts', import.meta.url)`: entries of threads and processes. */
  files: string[]
  functions: { name: string; line: number; lines: number }[]
  /** Properties, calls and types that a rule may forbid, as written: `Date.now`, `test.skip()`, `any`. */
  uses: { what: string; line: number }[]
  /** Lines that give a promise back from a scope whose end does something (`using`, `finally`, `catch`). */
  unawaited: number[]
}

export const projectRoot = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')

/** All TypeScript files that the compiler settings name, declarations of types apart. */
export function loadSources(): Source[] {
  const api = new API({ cwd: projectRoot })
  try {
    const settings = join(projectRoot, 'tsconfig.json')
    const snapshot = api.updateSnapshot({ openProjects: [settings] })
    const project = snapshot.getProjects()[0]
    const paths = project.rootFiles.filter((path) => !path.endsWith('.d.ts') && existsSync(path))
    return paths.map((path) => sourceOf(path, project.program.getSourceFile(path), project.checker))
  } finally {
    api.close()
  }
}

function sourceOf(path: string, file: SourceFile | undefined, checker: Checker): Source {
  if (file === undefined) throw new Error(`the compiler does not know ${path}`)
  const own = relative(projectRoot, path)
  const source: Source = {
    path: own, text: file.text, lines: file.text.split('\n'), imports: [], files: [], functions: [], uses: [],
    unawaited: [],
  }
  const visit = (node: Node): void => {
    note(node, source, file)
    node.forEachChild(visit)
  }
  file.forEachChild(visit)
  const early = returnsWithin(file)
  const types = early.length === 0 ? [] : checker.getTypeAtLocation(early)
  for (const [at, type] of types.entries()) {
    const isPromise = type !== undefined && checker.typeToString(type).startsWith('Promise<')
    if (isPromise) source.unawaited.push(lineOf(early[at].getStart(file), source))
  }
  return source
}

/** What is returned, as it stands, from scopes whose end does something. */
function returnsWithin(file: SourceFile): Node[] {
  const found: Node[] = []
  const visit = (node: Node, isWithin: boolean): void => {
    if (isFunction(node)) return node.forEachChild((child) => visit(child, false))
    if (is.isTryStatement(node)) {
      node.forEachChild((child) => visit(child, isWithin || child === node.tryBlock))
      return
    }
    if (isWithin && is.isReturnStatement(node) && node.expression !== undefined) {
      if (!is.isAwaitExpression(node.expression)) found.push(node.expression)
    }
    const holds = is.isBlock(node) && node.statements.some((each) => /^(await )?using /.test(each.getText(file)))
    node.forEachChild((child) => visit(child, isWithin || holds))
  }
  file.forEachChild((child) => visit(child, false))
  return found
}

function note(node: Node, source: Source, file: SourceFile): void {
  const line = lineOf(node.getStart(file), source)
  const specifier = specifierOf(node)
  if (specifier !== null) source.imports.push({ ...targetOf(specifier, source.path), line })
  if (is.isStringLiteral(node) && /^[\w./-]+\.ts$/.test(node.text)) {
    source.files.push(targetOf(node.text.startsWith('.') ? node.text : `./${node.text}`, source.path).target)
  }
  if (is.isNewExpression(node) && node.getText(file) === 'new Date()') source.uses.push({ what: 'new Date', line })
  if (is.isCallExpression(node)) source.uses.push({ what: `${bare(node.expression.getText(file))}()`, line })
  if (is.isPropertyAccessExpression(node)) source.uses.push({ what: bare(node.getText(file)), line })
  if (node.kind === SyntaxKind.AnyKeyword) source.uses.push({ what: 'any', line })
  if (isFunction(node)) {
    const lines = lineOf(node.end, source) - line + 1
    source.functions.push({ name: nameOf(node, file), line, lines })
  }
}

function specifierOf(node: Node): string | null {
  if ((is.isImportDeclaration(node) || is.isExportDeclaration(node)) && node.moduleSpecifier !== undefined) {
    return is.isStringLiteral(node.moduleSpecifier) ? node.moduleSpecifier.text : null
  }
  if (is.isCallExpression(node) && node.expression.kind === SyntaxKind.ImportKeyword) {
    const first = node.arguments[0]
    return first !== undefined && is.isStringLiteral(first) ? first.text : null
  }
  return null
}

function targetOf(specifier: string, from: string): Omit<Import, 'line'> {
  if (!specifier.startsWith('.')) return { target: specifier, own: false }
  return { target: relative(projectRoot, resolve(projectRoot, dirname(from), specifier)), own: true }
}

function isFunction(node: Node): boolean {
  return is.isFunctionDeclaration(node) || is.isFunctionExpression(node) || is.isArrowFunction(node)
    || is.isMethodDeclaration(node) || is.isConstructorDeclaration(node)
    || is.isGetAccessorDeclaration(node) || is.isSetAccessorDeclaration(node)
}

function nameOf(node: Node, file: SourceFile): string {
  return 'name' in node && node.name !== undefined ? (node.name as Node).getText(file) : '(nameless)'
}

function bare(text: string): string {
  return text.replaceAll(/\s/g, '')
}

function lineOf(position: number, source: Source): number {
  return source.text.slice(0, position).split('\n').length
}
