/** The house rules as a test. Each rule collects what breaks it, so that one run shows all. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { filesWithClock, filesWithFiles, roomsWithClock, roomsWithFiles } from './exceptions.ts'
import { isProduction, roomOf } from './rooms.ts'
import { loadSources, projectRoot, type Source } from './sources.ts'

const sources = loadSources()
const byPath = new Map(sources.map((source) => [source.path, source]))

const lineCharactersMax = 120
/** Tables of cases and golden bytes in tests, and of figures in benches, are wide. */
const testLineCharactersMax = 180
const fileLinesMax = 300
const functionLinesMax = 70

const homePattern = /\/(?:home|Users)\/[a-z][\w.-]*\//g
const registryPattern = /https?:\/\/([\w.-]*(?:registry|artifactory|nexus|verdaccio|mirror)[\w.-]*)/g

test('the sources were found', (t) => {
  t.true(sources.length > 50)
  t.true(byPath.get('src/daemon/verbs.ts')?.imports.some(({ target }) => target === 'src/errors.ts'))
  t.true(byPath.get('src/daemon/launch.ts')?.files.includes('src/daemon/main.ts'))
})

test('every file lies in a room and imports only from rooms that its own may see', (t) => {
  const faults: string[] = []
  for (const source of sources) {
    const room = roomOf(source.path)
    if (room === undefined) faults.push(`${source.path} lies in no room`)
    for (const { target, own, line } of source.imports) {
      if (!own || room === undefined) continue
      const other = roomOf(target)
      const allowed = other !== undefined && (other === room || room.imports.includes(other.name))
      if (!allowed) faults.push(`${source.path}:${line} imports ${target}`)
    }
  }
  t.deepEqual(faults, [])
})

test('packages are those that are declared, and rig uses none', (t) => {
  const manifest = readFileSync(join(projectRoot, 'package.json'), 'utf8')
  const { dependencies, devDependencies } = JSON.parse(manifest) as Record<string, Record<string, string>>
  const production = Object.keys(dependencies)
  const allowed: Record<string, string[]> = { none: [], production, any: [...production, ...Object.keys(devDependencies)] }
  const faults: string[] = []
  for (const source of sources) {
    for (const { target, own, line } of source.imports) {
      if (own || target.startsWith('node:')) continue
      const name = target.split('/').slice(0, target.startsWith('@') ? 2 : 1).join('/')
      const packages = allowed[roomOf(source.path)?.packages ?? 'none']
      if (!packages.includes(name)) faults.push(`${source.path}:${line} imports ${target}`)
    }
  }
  t.deepEqual(faults, [])
})

test('no files import each other in a circle', (t) => {
  const circles: string[] = []
  const state = new Map<string, 'open' | 'done'>()
  const visit = (path: string, trail: readonly string[]): void => {
    if (state.get(path) === 'done') return
    if (state.get(path) === 'open') {
      circles.push([...trail.slice(trail.indexOf(path)), path].join(' -> '))
      return
    }
    state.set(path, 'open')
    for (const { target, own } of byPath.get(path)?.imports ?? []) if (own) visit(target, [...trail, path])
    state.set(path, 'done')
  }
  for (const { path } of sources) visit(path, [])
  t.deepEqual(circles, [])
})

test('no file is dead, and no import leads nowhere', (t) => {
  const live = new Set<string>()
  const reach = (path: string): void => {
    if (live.has(path)) return
    live.add(path)
    const source = byPath.get(path)
    for (const { target, own } of source?.imports ?? []) if (own) reach(target)
    for (const target of source?.files ?? []) if (byPath.has(target)) reach(target)
  }
  for (const { path } of sources) if (isEntry(path)) reach(path)
  t.deepEqual(sources.map(({ path }) => path).filter((path) => !live.has(path)), [], 'dead files')
  t.deepEqual([...live].filter((path) => !existsSync(join(projectRoot, path))), [], 'imports that lead nowhere')
})

test('lines, functions and files are short', (t) => {
  const faults: string[] = []
  for (const { path, lines, functions } of sources) {
    const isTable = path.startsWith('test/') || path.startsWith('bench/')
    const charactersMax = isTable ? testLineCharactersMax : lineCharactersMax
    lines.forEach((line, index) => {
      if ([...line].length > charactersMax) faults.push(`${path}:${index + 1} has ${[...line].length} characters`)
    })
    if (!isProduction(path)) continue
    if (lines.length > fileLinesMax + 1) faults.push(`${path} has ${lines.length - 1} lines`)
    for (const each of functions) {
      if (each.lines > functionLinesMax) faults.push(`${path}:${each.line} ${each.name} has ${each.lines} lines`)
    }
  }
  t.deepEqual(faults, [])
})

test('files are reached through env, but for exceptions with a reason', (t) => {
  const users = sources.filter(({ imports, text }) => text.includes("getBuiltinModule('node:fs")
    || imports.some(({ target }) => /^node:fs(\/promises)?$/.test(target)))
  t.deepEqual(breaking(users, roomsWithFiles, filesWithFiles), { unreasoned: [], unneeded: [] })
})

test('the clock and randomness come from env, but for exceptions with a reason', (t) => {
  const clocks = ['Date.now', 'new Date', 'Math.random', 'performance.now', 'process.hrtime', 'process.hrtime.bigint']
  const users = sources.filter((source) => source.uses.some(({ what }) => clocks.includes(what)))
  t.deepEqual(breaking(users, roomsWithClock, filesWithClock), { unreasoned: [], unneeded: [] })
})

test('nothing prints but the command line, and no type is given up', (t) => {
  const faults: string[] = []
  for (const source of sources) {
    for (const { what, line } of source.uses) {
      if (what === 'any') faults.push(`${source.path}:${line} any`)
      if (what.startsWith('console.') && isProduction(source.path)) faults.push(`${source.path}:${line} ${what}`)
    }
    source.lines.forEach((line, index) => {
      if (/@ts-(ignore|expect-error|nocheck)|eslint-disable/.test(line) && source.path !== 'test/tidy/tidy.test.ts') {
        faults.push(`${source.path}:${index + 1} ${line.trim()}`)
      }
      if (/\b(TODO|FIXME|XXX)\b/.test(line) && source.path !== 'test/tidy/tidy.test.ts') {
        faults.push(`${source.path}:${index + 1} ${line.trim()}`)
      }
    })
  }
  t.deepEqual(faults, [])
})

test('a promise is awaited in the scope that lets go of what it needs', (t) => {
  const found = sources.flatMap(({ path, unawaited }) => unawaited.map((line) => `${path}:${line} returns a promise`))
  t.deepEqual(found, [])
})

test('no test is left out or left alone', (t) => {
  const faults = sources.flatMap(({ path, uses }) => uses
    .filter(({ what }) => /^test(\.serial)?\.((skip|todo|failing)\(\)|only)$/.test(what))
    .map(({ what, line }) => `${path}:${line} ${what}`))
  t.deepEqual(faults, [])
})

test('tracked files name no place of one machine and no registry but the public one', (t) => {
  const listed = execFileSync('git', ['ls-files', '-z'], { cwd: projectRoot, encoding: 'utf8' })
  const tracked = listed.split('\0').filter(Boolean)
  const faults: string[] = []
  for (const path of tracked.filter((each) => existsSync(join(projectRoot, each)))) {
    const text = readFileSync(join(projectRoot, path), 'utf8')
    if (text.includes(projectRoot)) faults.push(`${path} names this checkout`)
    for (const [place] of text.matchAll(homePattern)) faults.push(`${path} names ${place}`)
    for (const [, host] of text.matchAll(registryPattern)) {
      if (host !== 'registry.npmjs.org') faults.push(`${path} names ${host}`)
    }
    if (path === 'package-lock.json') faults.push(...foreignHosts(text).map((host) => `${path} resolves from ${host}`))
  }
  t.deepEqual([...new Set(faults)], [])
})

function foreignHosts(lockFile: string): string[] {
  const resolved = [...lockFile.matchAll(/"resolved": "https?:\/\/([^/"]+)/g)].map(([, host]) => host)
  return [...new Set(resolved)].filter((host) => host !== 'registry.npmjs.org')
}

/** What is started by name: the two entries of the package, processes and threads, tests, the scripts' mains, makers of golden files. */
function isEntry(path: string): boolean {
  if (path === 'src/index.ts' || path.endsWith('.test.ts')) return true
  return /(^|\/)(main|run)\.ts$/.test(path) || /^(bench\/[^/]+|test\/golden\/make-[^/]+)\.ts$/.test(path)
}

function breaking(
  users: Source[], rooms: readonly string[], files: Record<string, string>,
): { unreasoned: string[]; unneeded: string[] } {
  const outside = users.map(({ path }) => path).filter((path) => !rooms.includes(roomOf(path)?.name ?? ''))
  return {
    unreasoned: outside.filter((path) => files[path] === undefined),
    unneeded: Object.keys(files).filter((path) => !outside.includes(path)),
  }
}
