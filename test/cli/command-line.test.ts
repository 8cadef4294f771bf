/** Every verb of the table on the command line: help, and refusal of bad words before anything is opened. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { readCommandLine, optionName, type CommonOptions } from '../../src/cli/arguments.ts'
import { exitCodeOf } from '../../src/cli/exit-codes.ts'
import { helpOn, synopsis } from '../../src/cli/help.ts'
import { verbNamed, verbNames } from '../../src/daemon/verbs.ts'
import { isCode, type ErrorCode } from '../../src/errors.ts'
import { scratchDirectory } from '../daemon/scratch.ts'
import { runCli } from './run-cli.ts'

function read(...words: string[]): ReturnType<typeof readCommandLine> & { common: CommonOptions } {
  const common: CommonOptions = { store: undefined, keyFile: undefined, json: false, quiet: false, progress: false }
  return { ...readCommandLine(words, common), common }
}

function refused(...words: string[]): unknown {
  try {
    return read(...words)
  } catch (error) {
    return error
  }
}

test('each verb has help that names all its parameters', (t) => {
  const all = helpOn([])
  for (const name of verbNames) {
    t.true(all.includes(synopsis(name)), name)
    const help = helpOn(name.split(' '))
    for (const [field, { place, kind, help: said }] of Object.entries(verbNamed(name).parameters)) {
      if (place === 'hidden') continue
      t.true(help.includes(said), `${name} ${field}`)
      t.true(help.includes(place === 'positional' ? kind.label : place === 'rest' ? '--' : `--${optionName(field)}`), name)
    }
    t.deepEqual(read(...name.split(' '), '--help'), { type: 'help', topic: name.split(' '), common: read('--help').common })
  }
})

test('each verb refuses unknown options, words too many and words too few, and opens nothing', async (t) => {
  const store = join(scratchDirectory(t), 'none')
  for (const name of verbNames) {
    const { parameters } = verbNamed(name)
    const words = name.split(' ')
    const cases = [[...words, '--nonsense'], [...words, 'a', 'b', 'c', 'd', 'e'], [...words, '--json=1'], [...words, '--store']]
    if (Object.values(parameters).some(({ required }) => required)) cases.push(words)
    for (const each of cases) {
      t.true(isCode(refused(...each), 'USAGE', 'BAD_NAME'), each.join(' '))
    }
  }
  t.like(await runCli(['--store', store, 'create', '../x']), { code: 2, out: '' })
  t.false(existsSync(store))
})

test('words become arguments', (t) => {
  t.like(read('--store', '/s', 'create', 'a', '--base', '/x', '--base=/y', '--json'), {
    type: 'verb', verb: 'create', given: { image: 'a', base: ['/x', '/y'] }, common: { store: '/s', json: true },
  })
  t.like(read('vm', 'start', 'a', '--memory', '1G', '--', '-device', 'x', '--json'), {
    verb: 'vm start', given: { image: 'a', memory: 2 ** 30, extra: ['-device', 'x', '--json'] }, common: { json: false },
  })
  t.like(read('export', 'a@1:/d', '-'), { verb: 'export', given: { source: 'a@1:/d', file: '-' } })
  t.like(read('check', '--read-data', '--sample', '10%'), { given: { readData: true, sample: 0.1 } })
  t.like(read('vm', 'checkpoint', 'a', '--every', '5s'), { given: { every: 5000 } })
  t.is(read('images', '--version').type, 'version')
})

test('words that make no command are USAGE', (t) => {
  const wrong = [
    [], ['vm'], ['vm', 'bogus'], ['replica', 'bogus'], ['gc', '--keep-last', '0'], ['gc', '--thin', '5s/1s'], ['restore', 'x', 'y'], ['--nonsense', 'images'], ['-x'],
    ['log', 'a', '--', 'b'], ['seal', 'a', '--note'], ['seal', 'a', '--note', 'x', '--note', 'y'], ['seal', 'a', '--note', '--', 'x'],
    ['rollback', 'a@1', '--discard=yes'], ['export', 'a@1:/d', '-', '--format', 'vmdk'], ['vm', 'start', 'a', '--memory', 'much'],
  ]
  for (const words of wrong) t.true(isCode(refused(...words), 'USAGE'), words.join(' '))
})

test('exit codes', (t) => {
  const codes: [ErrorCode, number][] = [
    ['USAGE', 2], ['BAD_NAME', 2], ['NOT_FOUND', 3], ['LOCKED', 4], ['FENCED', 4], ['DAMAGED', 5], ['ABORTED', 130],
    ['IO', 1], ['BUSY', 1], ['NEWER_VERSION', 1],
  ]
  for (const [code, wanted] of codes) t.is(exitCodeOf(code), wanted, code)
})

test('errors are one line for people and one document for programs', async (t) => {
  const plain = await runCli(['images'])
  t.like(plain, { code: 2, out: '' })
  t.regex(plain.err, /^holdfast: .* \(USAGE\)\n$/)
  const json = await runCli(['bogus', '--json'])
  t.is(json.code, 2)
  t.like(JSON.parse(json.out), { error: { code: 'USAGE', info: {} } })
  t.regex((await runCli(['--help'])).out, /usage: holdfast/)
})
