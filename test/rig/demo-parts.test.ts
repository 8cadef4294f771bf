import test from 'ava'
import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { ConsoleLog } from '../../rig/demo/console-log.ts'
import { continues } from '../../rig/demo/crash.ts'
import { isSound, sorted } from '../../rig/demo/fsck.ts'
import { readOptions } from '../../rig/demo/options.ts'
import { Story } from '../../rig/demo/story.ts'
import { rowsOf, tableText } from '../../rig/demo/table.ts'

const machine = {
  image: 'i', state: 'running', pid: 1, console: '', accelerator: '', machineType: '', lastError: null, alarms: [], notices: [],
}

/** Of e2fsck 1.47.0, after a guest was cut. */
const afterACut = `e2fsck 1.47.0 (5-Feb-2023)
disk.raw: recovering journal
Clearing orphaned inode 6170 (uid=0, gid=0, mode=0100600, size=32768)
Setting free blocks count to 458650 (was 458900)
Pass 1: Checking inodes, blocks, and sizes
Pass 2: Checking directory structure
Pass 3: Checking directory connectivity
Pass 4: Checking reference counts
Pass 5: Checking group summary information
Free blocks count wrong (458650, counted=458333).
Fix? yes

Free inodes count wrong (124913, counted=124897).
Fix? yes


holdfast-guest: ***** FILE SYSTEM WAS MODIFIED *****
holdfast-guest: 6175/131072 files (0.3% non-contiguous), 65955/524288 blocks
`

test('what a power failure leaves is allowed', (t) => {
  const { mended, unexpected } = sorted(afterACut)
  t.deepEqual(unexpected, [])
  t.deepEqual(mended.map((line) => line.split(/[ :]/)[0]), ['disk.raw', 'Clearing', 'Setting', 'Free', 'Free'])
})

for (const line of [
  'Inode 12 has illegal block(s).  Clear? yes',
  'Entry \'x\' in /var (15) has deleted/unused inode 99.  Clear? yes',
  'Block bitmap differences:  -33280',
  'Inode 14 ref count is 2, should be 1.  Fix? yes',
  'Unattached inode 6170',
  'Superblock has an invalid journal (inode 8).',
  'Pass 3A: Optimizing directories',
  'Journal checksum error found in disk.raw',
]) {
  test(`damage is not allowed: ${line}`, (t) => {
    const report = sorted(afterACut.replace('Pass 2', `${line}\nPass 2`))
    t.deepEqual(report.unexpected, [line])
    t.false(isSound({ ...report, firstCode: 1, secondCode: 0 }))
  })
}

test('a second check that finds anything, and a first that could not mend all, are not allowed', (t) => {
  const report = { unexpected: [], mended: [] }
  t.true(isSound({ ...report, firstCode: 0, secondCode: 0 }))
  t.true(isSound({ ...report, firstCode: 1, secondCode: 0 }))
  t.false(isSound({ ...report, firstCode: 1, secondCode: 4 }))
  t.false(isSound({ ...report, firstCode: 4, secondCode: 0 }))
})

test('options: defaults, values and refusals', (t) => {
  t.like(readOptions([]), { everyMs: 5_000, epochsCount: 5, machine: 'microvm', memory: '512M', keep: false, json: false })
  t.like(readOptions(['--every', '1.5s', '--epochs', '3', '--keep']), { every: '1.5s', everyMs: 1_500, epochsCount: 3, keep: true })
  for (const words of [['--every', 'often'], ['--every', '1ms'], ['--epochs', '1'], ['--machine', 'pc'], ['--loud'], ['extra']]) {
    t.throws(() => readOptions(words), { name: 'DemoFailure' }, words.join(' '))
  }
})

test('an expectation that does not hold ends the story', (t) => {
  const out = new PassThrough({ encoding: 'utf8' })
  const story = new Story(out)
  story.expect(true, 'the sky', 'blue')
  t.throws(() => story.expect(false, 'the sky', 'green'), { name: 'DemoFailure', message: /the sky; seen: green/ })
  t.deepEqual(story.checks, [{ what: 'the sky', seen: 'blue' }])
  story.command(['holdfast', '--append', "it's a=b c"])
  t.is(out.read(), "   ✓ the sky: blue\n   $ holdfast --append 'it'\\''s a=b c'\n")
})

test('the table has a row for each epoch, and what was resumed in its row', (t) => {
  const epoch = { image: 'i', number: 1, writtenBytes: 2_097_152, storedBytes: 512, pauseMs: 4.25, machine: true, note: '' }
  const sealed = { ...epoch, number: 2, pauseMs: null, machine: false, storedBytes: null }
  const rows = rowsOf([epoch, sealed], [{ machine, epoch, resumeMs: 123.4, commandMs: 234.5 }])
  t.deepEqual(tableText(rows).split('\n').slice(1).map((line) => line.trim().split(/ {2,}/)), [
    ['i@1', '4.3', '2.0 MiB', '512 B', '123', '235'],
    ['i@2', '2.0 MiB'],
  ])
})

test('a resumed guest goes on at the next number, whatever was left in its serial port', (t) => {
  t.true(continues([8, 9, 10], 7))
  t.true(continues([7, 8, 9], 7), 'the line of 7 came out after the cut')
  t.true(continues([5, 6, 7, 8], 7))
  t.false(continues([4, 5, 6, 7, 8], 7), 'it went back further than its memory')
  t.false(continues([9, 10], 7), 'a number is missing')
  t.false(continues([8, 10], 7))
  t.false(continues([8, 8, 9], 7))
  t.false(continues([1, 2, 3], 7), 'it began anew')
  t.false(continues([], 7))
})

test('the console log: whole lines after the mark, and what tells of a boot', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'console-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const here = { ...machine, console: join(directory, 'console.sock') }
  const log = join(directory, 'console.log')
  t.deepEqual(new ConsoleLog(here).counters(), [])
  writeFileSync(log, '[ 0.0] Linux version 6.1\r\nready 900\ncounter 1 10\ncounter 2 20\ncoun')
  t.deepEqual(new ConsoleLog(here).counters(), [1, 2])
  t.is(new ConsoleLog(here).bootMessages().length, 2)
  const mark = new ConsoleLog(here).mark()
  appendFileSync(log, 'ter 3 30\r\ncounter 4 40\r\ncounter 5')
  t.deepEqual(new ConsoleLog(here, mark).counters(), [4])
  t.deepEqual(new ConsoleLog(here, mark).bootMessages(), [])
  renameSync(log, `${log}.old`)
  writeFileSync(log, 'counter 6 60\n'.repeat(10))
  t.is(new ConsoleLog(here, mark).counters().length, 10, 'another file than the marked one is read from its start')
})
