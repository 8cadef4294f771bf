/**
 * The tarball, installed: the command line with its daemon and its compiled workers, the library, the types. All
 * in one store, in order, as a user would go on.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { installPackage, run, type Outcome } from './installed.ts'

const installed = await installPackage()
const { directory } = installed
const store = join(directory, 'store')
const program = join(directory, 'node_modules/.bin/holdfast')
const testInstalled = installed.missing === null ? test.serial : test.serial.skip
const where = installed.missing === null ? '' : ` (the registry cannot be reached: ${installed.missing})`

test.after.always(async () => {
  if (existsSync(join(store, 'daemon/pid'))) await holdfast('daemon', 'stop', '--force')
  installed.remove()
})

function holdfast(...words: readonly string[]): Promise<Outcome> {
  return run(program, words, directory, { HOLDFAST_STORE: store })
}

/** What a command prints as JSON; its failure is the test's. */
async function answer<T>(...words: readonly string[]): Promise<T> {
  const { code, out, err } = await holdfast('--json', ...words)
  if (code !== 0) throw new Error(`holdfast ${words.join(' ')} ended with ${code}: ${err}`)
  return JSON.parse(out) as T
}

test('the tarball holds what is compiled and two pages, and nothing else of the sources', (t) => {
  const { packed } = installed
  for (const path of ['dist/src/index.js', 'dist/src/index.d.ts', 'dist/src/cli/main.js', 'src/DESIGN.md', 'src/FORMAT.md']) {
    t.true(packed.includes(path), path)
  }
  const tops = new Set(packed.map((path) => path.replace(/^(dist\/[^/]+|[^/]+)\/.*/, '$1')))
  t.deepEqual([...tops].sort(), ['LICENSE', 'README.md', 'dist/drivers', 'dist/fuse', 'dist/src', 'package.json', 'src'])
  t.deepEqual(packed.filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts')), [])
})

testInstalled(`the installed command makes a store, an image, an epoch, and reads them${where}`, async (t) => {
  const manifest = JSON.parse(readFileSync(join(directory, 'node_modules/holdfast/package.json'), 'utf8')) as { version: string }
  t.is((await holdfast('--version')).out, `${manifest.version}\n`)
  mkdirSync(join(directory, 'base'))
  writeFileSync(join(directory, 'base/note'), 'from the base')
  t.is((await holdfast('init')).code, 0)
  t.is((await holdfast('create', 'docs', '--base', 'base')).code, 0)
  t.is((await holdfast('seal', 'docs', '--note', 'first')).code, 0)
  const epochs = await answer<{ number: number; note: string }[]>('log', 'docs')
  t.deepEqual(epochs.map(({ number, note }) => ({ number, note })), [{ number: 0, note: '' }, { number: 1, note: 'first' }])
  t.is((await holdfast('export', 'docs@1:/note', '-')).out, 'from the base')
  t.is((await holdfast('log', 'nothing')).code, 3)
})

testInstalled(`its daemon serves a mount with the compiled workers${where}`, async (t) => {
  const point = join(directory, 'point')
  mkdirSync(point)
  await answer('mount', 'docs', point)
  const written = await run('sh', ['-c', 'cat point/note && echo new > point/new && sync point/new'], directory)
  t.deepEqual(written, { code: 0, out: 'from the base', err: '' })
  const { epoch } = await answer<{ epoch: { number: number } }>('seal', 'docs')
  t.is(epoch.number, 2)
  await answer('unmount', point)
  t.is((await holdfast('export', 'docs@2:/new', '-')).out, 'new\n')
  await answer('daemon', 'stop')
  t.false((await answer<{ running: boolean }>('daemon', 'status')).running)
  t.is((await holdfast('check', '--read-data')).code, 0)
})

testInstalled(`its optional fuse-native serves a mount, where it could be installed${where}`, async (t) => {
  const point = join(directory, 'native')
  mkdirSync(point)
  const mounted = await holdfast('mount', 'docs', point, '--transport', 'native')
  if (!existsSync(join(directory, 'node_modules/fuse-native'))) {
    t.is(mounted.code, 1)
    t.regex(mounted.err, /the optional package fuse-native is not installed/)
  } else {
    t.is(mounted.code, 0, mounted.err)
    t.is((await run('cat', ['native/new'], directory)).out, 'new\n')
    await answer('unmount', point)
  }
  await answer('daemon', 'stop')
})

testInstalled(`the library is imported by the package’s name${where}`, async (t) => {
  writeFileSync(join(directory, 'program.js'), [
    "import { openStore } from 'holdfast'",
    'await using store = await openStore(process.argv[2])',
    "const image = await store.createImage('more', { base: ['base'] })",
    "const { epoch } = await image.seal({ note: 'by the library' })",
    'process.stdout.write(`${epoch.image}@${epoch.number} ${epoch.note}`)',
  ].join('\n'))
  const { out, err } = await run(process.execPath, ['program.js', store], directory)
  t.is(out, 'more@1 by the library', err)
})

testInstalled(`a TypeScript program is checked against its types${where}`, async (t) => {
  const types = fileURLToPath(new URL('../../node_modules/@types', import.meta.url))
  const compilerOptions = {
    target: 'es2024', lib: ['es2024', 'esnext.disposable'], module: 'nodenext', strict: true, noEmit: true,
    types: ['node'], typeRoots: [types],
  }
  writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['program.ts'] }))
  writeFileSync(join(directory, 'program.ts'), [
    "import { openStore } from 'holdfast'",
    "await using store = await openStore('store', { create: true })",
    "const { epoch } = await (await store.createImage('docs')).seal()",
    'export const right: number = epoch.number',
    'export const wrong: string = epoch.number',
  ].join('\n'))
  const tsc = fileURLToPath(new URL('../../node_modules/.bin/tsc', import.meta.url))
  const { out } = await run(tsc, ['-p', '.', '--pretty', 'false'], directory)
  const faults = out.trim().split('\n').map((line) => line.replace(/: Type.*/, ''))
  t.deepEqual(faults, ['program.ts(5,14): error TS2322'])
})
