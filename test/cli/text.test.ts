import { Writable } from 'node:stream'
import test from 'ava'
import { ProgressDisplay, progressText } from '../../src/cli/progress-display.ts'
import { resultText } from '../../src/cli/text/results.ts'
import { columns } from '../../src/cli/text/table.ts'
import { ageText, bytesText, durationText } from '../../src/cli/text/units.ts'
import type { EpochSummary } from '../../src/image/types.ts'

const epoch: EpochSummary = {
  image: 'web', number: 12, id: 'ab', parent: { id: 'cd', image: 'web', number: 3 }, wallMs: 1000, note: 'a remark',
  pinned: true, level: 'durable', replicas: { have: 0, of: 0 }, writtenBytes: 1536, storedBytes: null, pauseMs: 4.25, machine: true,
}

test('sizes and times as people read them', (t) => {
  t.deepEqual([0, 1023, 1024, 1536, 10 * 2 ** 20, 2 ** 50].map(bytesText), ['0 B', '1023 B', '1.0 KiB', '1.5 KiB', '10 MiB', '1.0 PiB'])
  t.deepEqual([0, 1000, 61_000, 7_200_000, 200_000_000].map((ms) => ageText(0, ms)), ['now', '1 s ago', '1 min ago', '2 h ago', '2 d ago'])
  t.is(ageText(5000, 0), 'now')
  t.deepEqual([400, 5000, 61_000, 3_700_000].map(durationText), ['0 s', '5 s', '1 min 1 s', '1 h 1 min'])
})

test('columns are aligned, numbers to the right, no blanks at the end of lines', (t) => {
  t.is(columns([['A', 'N', ''], ['bb', '10', 'x'], ['Ω', '7', '']], [1]), 'A    N\nbb  10  x\nΩ    7')
})

test('epochs', (t) => {
  t.is(resultText('log', [epoch], 61_000),
    'EPOCH   PARENT  SEALED     WRITTEN  STORED   PAUSE  IS                        NOTE\n'
    + 'web@12  @3      1 min ago  1.5 KiB       ?  4.3 ms  durable, machine, pinned  a remark')
  t.is(resultText('images', [], 0), 'no images')
  t.is(resultText('seal', { epoch, barrierMs: 0.1, commitMs: 20 }, 0), 'sealed web@12: 1.5 KiB written; barrier 0.1 ms, commit 20 ms')
})

test('what is damaged is shown as such, and why', (t) => {
  const damaged = { ...epoch, number: 13, damaged: 'its digest\nis wrong' }
  const log = resultText('log', [epoch, damaged], 61_000)
  t.regex(log, /^web@13 +\? +\? .*damaged, pinned$/m)
  t.regex(log, /^web@13 is damaged: its digest\\u000ais wrong$/m)
  const image = { image: 'a\u001b[31m', id: '', origin: { kind: 'empty' as const }, epochs: 2, newest: 1, createdMs: 0, damaged: 'no JSON' }
  t.regex(resultText('images', [image], 0), /^a\\u001b\[31m +2 +@1 +damaged +\?\n\na\\u001b\[31m is damaged: no JSON\n/m)
})

test('a check tells what is damaged, what it costs, what was healed and what was left out', (t) => {
  const files = [{ path: '/disk.raw', ranges: [{ offset: 65_536, bytes: 65_536 }] }]
  const fault = { what: 'files', where: 'vm@1', message: 'a chunk is missing', epochs: ['vm@1', 'vm@2'], files }
  const text = resultText('check', {
    packs: 2, records: 10, epochs: 3, damaged: [fault], healed: [{ ...fault, what: 'record', files: [] }], repairs: ['did it'],
    notes: ['a torn log'], unread: { packs: 1, bytes: 1024 },
  }, 0)
  t.is(text, [
    'looked at 2 packs, 10 records, 3 epochs: 1 fault, 1 fault healed',
    '  files vm@1: a chunk is missing', '    costs vm@1, vm@2', '    /disk.raw: bytes 65536 to 131071',
    '  healed: record vm@1: a chunk is missing', '  repair: did it', '  note: a torn log',
    '  not looked at for want of time: 1.0 KiB in 1 pack',
  ].join('\n'))
})

test('progress says step, amount, rate and time left', (t) => {
  const progress = { step: 'read', done: 2 ** 20, total: 3 * 2 ** 20, unit: 'bytes' as const }
  t.is(progressText(progress, 2 ** 20, 1000), 'read: 1.0 MiB of 3.0 MiB, 1.0 MiB/s, 2 s left')
  t.is(progressText(progress, 2 ** 20, 10), 'read: 1.0 MiB of 3.0 MiB')
  t.is(progressText({ step: 'scan', done: 1500, total: 0, unit: 'records' }, 1500, 1000), 'scan: 1,500 records, 1,500 records/s')
})

test('progress is one rewritten line on a terminal and a line now and then elsewhere', (t) => {
  const written: string[] = []
  const stream = Object.assign(new Writable({ write: (chunk, _, done) => (written.push(String(chunk)), done()) }), { isTTY: false })
  let nowMs = 0
  const display = new ProgressDisplay(stream, () => nowMs)
  for (nowMs = 0; nowMs <= 10_000; nowMs += 100) display.show({ step: 'read', done: nowMs, total: 0, unit: 'chunks' })
  t.is(written.length, 3)
  t.true(written.every((line) => line.endsWith('\n')))
  stream.isTTY = true
  nowMs += 1000
  display.show({ step: 'read', done: 1, total: 0, unit: 'chunks' })
  display.close()
  t.deepEqual(written.slice(3).map((text) => text.startsWith('\r\x1b[K')), [true, true])
})
