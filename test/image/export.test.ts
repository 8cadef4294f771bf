import { Buffer } from 'node:buffer'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { Random } from '../random.ts'
import { Work } from './work.ts'

const mebibyte = 1_048_576
const withConverter = spawnSync('qemu-img', ['--version']).status === 0 ? test : test.skip

/** An epoch whose /disk has three runs of data in 64 MiB and an odd end. */
async function sparse(t: Parameters<typeof Work.start>[0]): Promise<{ work: Work; bytes: Buffer }> {
  const work = await Work.start(t)
  const random = Random.announced(t)
  const bytes = Buffer.alloc(64 * mebibyte + 12_345)
  for (const at of [0, 30 * mebibyte + 5, bytes.length - 10]) {
    const data = random.bytes(Math.min(100_000, bytes.length - at))
    data.copy(bytes, at)
    work.write('disk', data, at)
  }
  await work.commit('epoch')
  return { work, bytes }
}

test('a raw export is byte for byte the file, and holes stay holes', async (t) => {
  const { work, bytes } = await sparse(t)
  const file = join(work.rig.parent, 'out.raw')
  const result = await work.engine.exportFile({ epoch: 'vm@1', path: '/disk', file, format: 'raw' })
  t.true(fs.readFileSync(file).equals(bytes))
  t.is(result.bytes, bytes.length)
  t.is(result.dataBytes, 4 * 65_536 + bytes.length % 65_536)
  t.true(fs.statSync(file).blocks * 512 <= 5 * 65_536 + 4096)
  t.deepEqual(fs.readdirSync(work.rig.parent).filter((name) => name.startsWith('out.raw.')), [])
})

withConverter('a qcow2 export holds the same (needs qemu-img)', async (t) => {
  const { work, bytes } = await sparse(t)
  const file = join(work.rig.parent, 'out.qcow2')
  const raw = join(work.rig.parent, 'wanted.raw')
  // A block device has whole sectors; qcow2 rounds up.
  fs.writeFileSync(raw, Buffer.concat([bytes, Buffer.alloc(512 - bytes.length % 512)]))
  await work.engine.exportFile({ epoch: 'vm@1', path: '/disk', file, format: 'qcow2' })
  execFileSync('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', raw, file])
  t.is(JSON.parse(execFileSync('qemu-img', ['info', '--output', 'json', file]).toString()).format, 'qcow2')
  t.deepEqual(fs.readdirSync(work.rig.parent).filter((name) => name.startsWith('out.qcow2.')), [])
})

test('nothing that exists is written over', async (t) => {
  const work = await Work.start(t)
  work.write('disk', 'new')
  await work.commit('epoch')
  const taken = join(work.rig.parent, 'taken')
  const link = join(work.rig.parent, 'link')
  fs.writeFileSync(taken, 'precious')
  fs.symlinkSync('taken', link)
  for (const format of ['raw', 'qcow2'] as const) {
    for (const file of [taken, work.rig.parent]) {
      await t.throwsAsync(work.engine.exportFile({ epoch: 'vm@1', path: '/disk', file, format }), { code: 'EXISTS' }, file)
    }
  }
  await t.throwsAsync(work.engine.exportFile({ epoch: 'vm@1', path: '/disk', file: link, format: 'raw' }), { code: 'EXISTS' })
  t.is(fs.readFileSync(taken, 'utf8'), 'precious')
  const nowhere = join(work.rig.parent, 'no', 'such')
  await t.throwsAsync(work.engine.exportFile({ epoch: 'vm@1', path: '/disk', file: nowhere, format: 'raw' }), { code: 'NOT_FOUND' })
})

test('a pipe gets the bytes in order, holes as zeros', async (t) => {
  const work = await Work.start(t)
  work.write('disk', 'start')
  work.write('disk', 'end', 200_000)
  await work.commit('epoch')
  const pipe = join(work.rig.parent, 'pipe')
  const copy = join(work.rig.parent, 'copy')
  execFileSync('mkfifo', [pipe])
  const reader = spawn('sh', ['-c', 'exec cat "$1" > "$2"', 'sh', pipe, copy])
  t.teardown(() => reader.kill('SIGKILL'))
  // The reader is there when its own end can be opened: until then the pipe has no one.
  const holder = fs.openSync(pipe, 'w')
  const result = await work.engine.exportFile({ epoch: 'vm@1', path: '/disk', file: pipe, format: 'raw' })
  fs.closeSync(holder)
  await once(reader, 'close')
  const wanted = Buffer.alloc(200_003)
  wanted.write('start')
  wanted.write('end', 200_000)
  t.true(fs.readFileSync(copy).equals(wanted))
  t.is(result.bytes, 200_003)
})

test('only regular files that are there can be exported', async (t) => {
  const work = await Work.start(t)
  const file = join(work.rig.parent, 'out')
  const refused = (path: string, code: string): Promise<unknown> =>
    t.throwsAsync(work.engine.exportFile({ epoch: 'vm@0', path, file, format: 'raw' }), { code })
  await refused('/', 'USAGE')
  await refused('/missing', 'NOT_FOUND')
  await refused('/missing/deeper', 'NOT_FOUND')
  t.false(fs.existsSync(file))
})

test('stopping an export leaves nothing', async (t) => {
  const work = await Work.start(t)
  const random = new Random(4)
  for (let at = 0; at < 200; at += 1) work.write('disk', random.bytes(1000), at * 65_536)
  await work.commit('epoch')
  const stop = new AbortController()
  const file = join(work.rig.parent, 'out')
  const exporting = work.engine.exportFile({ epoch: 'vm@1', path: '/disk', file, format: 'raw' }, {
    signal: stop.signal, progress: () => stop.abort(),
  })
  await t.throwsAsync(exporting, { code: 'ABORTED' })
  t.deepEqual(fs.readdirSync(work.rig.parent), ['store'])
})

test('a file that grew, shrank and grew again exports zeros where it was cut', async (t) => {
  const work = await Work.start(t)
  work.write('disk', Buffer.alloc(200_000, 9))
  await work.commit('head')
  work.truncate('disk', 70_000)
  work.truncate('disk', 150_000)
  work.write('disk', 'x', 149_999)
  await work.commit('epoch')
  const wanted = Buffer.alloc(150_000)
  wanted.fill(9, 0, 70_000).write('x', 149_999)
  t.true((await work.exported('vm@1', '/disk')).equals(wanted))
})
