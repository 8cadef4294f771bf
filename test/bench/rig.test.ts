/** What the benches are made of: figures, texts, contents, and that they leave nothing behind. */
import test from 'ava'
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isMet } from '../../bench/rig/bench.ts'
import type { Bench, BenchResult } from '../../bench/rig/bench.ts'
import { changeChunks, changedOffsets, changedPage, markChunks } from '../../bench/rig/data.ts'
import { highest, median, percentile } from '../../bench/rig/figures.ts'
import { weigh } from '../../bench/rig/process-memory.ts'
import { resultText } from '../../bench/rig/report.ts'
import { Scratch } from '../../bench/rig/scratch.ts'
import { chunkBytes } from '../../src/limits.ts'

const main = join(import.meta.dirname, '../../bench/main.ts')

test('a percentile is a value that was measured', (t) => {
  const values = [5, 1, 4, 2, 3]
  t.is(median(values), 3)
  t.is(median([4, 1, 3, 2]), 2)
  t.is(percentile(values, 0.99), 5)
  t.is(percentile(values, 0), 1)
  t.is(percentile(Array.from({ length: 100 }, (_, index) => index + 1), 0.99), 99)
  t.is(highest(values), 5)
  t.deepEqual(values, [5, 1, 4, 2, 3])
  t.true(Number.isNaN(median([])))
})

test('a target is met at its limit, whichever way it goes', (t) => {
  const target = { what: 'x', unit: 'ms', limit: 10 }
  t.true(isMet({ ...target, figure: 10, kind: 'at most' }))
  t.false(isMet({ ...target, figure: 10.1, kind: 'at most' }))
  t.true(isMet({ ...target, figure: 10, kind: 'at least' }))
  t.false(isMet({ ...target, figure: 9.9, kind: 'at least' }))
  t.false(isMet({ ...target, figure: NaN, kind: 'at most' }))
})

test('a result is printed with its misses and what was lost', (t) => {
  const bench: Bench = { name: 'name', question: 'what?', run: () => Promise.reject(new Error('not run')) }
  const result: BenchResult = {
    tables: [{ title: 'A table', columns: ['', 'ms', 'KB'], rows: [['first', 1.234, null], ['second', 12_345.6, 7]] }],
    targets: [{ what: 'time', figure: 3.5, limit: 2, kind: 'at most', unit: 'ms' }],
    lost: ['It is slower.'],
    notes: [],
  }
  t.is(resultText(bench, result), [
    '== name: what?',
    'A table\n            ms  KB\n------  ------  --\nfirst     1.23   -\nsecond  12,346   7',
    'Targets\n  MISSED: time: 3.50 ms (at most 2)',
    'Lost against the baseline\n  It is slower.',
  ].join('\n\n'))
})

test('marked chunks are distinct, and a file of them is sparse', async (t) => {
  await using scratch = new Scratch()
  const path = scratch.path('marked')
  const fileBytes = 64 * chunkBytes
  t.is(markChunks(path, { fileBytes, stride: 2 }), 32)
  t.is(markChunks(path, { fileBytes, stride: 2, first: 1, end: 9 }), 4)
  const bytes = readFileSync(path)
  const heads = Array.from({ length: 64 }, (_, index) => bytes.toString('hex', index * chunkBytes, index * chunkBytes + 32))
  const marks = heads.filter((head) => !/^0*$/.test(head))
  t.is(marks.length, 36)
  t.is(new Set(marks).size, 36)
  t.true(statSync(path).blocks * 512 < fileBytes)
})

test('changed pages lie in chunks of their own and differ from call to call', async (t) => {
  await using scratch = new Scratch()
  const fileBytes = 100 * chunkBytes
  for (const count of [1, 7, 100]) {
    const chunks = changedOffsets(fileBytes, count).map((offset) => Math.floor(offset / chunkBytes))
    t.is(new Set(chunks).size, count)
    t.true(chunks.every((chunk) => chunk < 100))
  }
  const path = scratch.path('changed')
  markChunks(path, { fileBytes, stride: 1 })
  changeChunks(path, fileBytes, 7, 'one')
  const before = readFileSync(path)
  changeChunks(path, fileBytes, 7, 'two')
  t.false(readFileSync(path).equals(before))
  t.false(changedPage('one').equals(changedPage('two')))
})

test('a scratch is emptied in reverse order, also when a step fails', async (t) => {
  const scratch = new Scratch()
  const directories = [scratch.directory, join(scratch.memoryPath('file'), '..')]
  const done: number[] = []
  for (const step of [1, 2, 3]) {
    scratch.defer(() => {
      done.push(step)
      if (step === 2) throw new Error('a step that fails')
    })
  }
  mkdirSync(scratch.path('directory'))
  writeFileSync(scratch.memoryPath('file'), 'x')
  const error = await t.throwsAsync(scratch.close())
  t.true(error instanceof AggregateError && error.errors.length === 1)
  t.deepEqual(done, [3, 2, 1])
  t.deepEqual(directories.map((directory) => existsSync(directory)), [false, false])
  t.teardown(() => directories.forEach((directory) => rmSync(directory, { recursive: true, force: true })))
})

test('a process is weighed, and one that is gone weighs nothing', (t) => {
  const { pssBytes, anonymousBytes, fileBytes } = weigh(process.pid)
  t.true(pssBytes > 10e6)
  t.true(anonymousBytes + fileBytes <= pssBytes * 1.01)
  t.is(weigh(spawnSync('true').pid).pssBytes, 0)
})

test('the command lists the benches and refuses what it does not know', (t) => {
  const listed = execFileSync(process.execPath, [main, '--list'], { encoding: 'utf8' })
  for (const name of ['store', 'mount', 'seal', 'daemon-memory', 'epoch-size', 'pause', 'resume', 'compare']) {
    t.regex(listed, new RegExp(`^${name} .*\\?$`, 'm'))
  }
  const refused = spawnSync(process.execPath, [main, 'nothing-of-this-name'], { encoding: 'utf8' })
  t.is(refused.status, 2)
  t.regex(refused.stderr, /not known: nothing-of-this-name/)
})
