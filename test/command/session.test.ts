/** What a user does in a session, over a real store, a real daemon and real mounts. */
import { closeSync, existsSync, openSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import type { DiffEntry, EpochSummary } from '../../src/image/types.ts'
import { RealStore, contentOf, shell } from './real-store.ts'

test('a session: create, mount, write, seal, log, diff, fork, roll back, export, remove', async (t) => {
  const store = await RealStore.make(t)
  const base = store.file('base.txt', 'the base\n')
  const mnt = store.mountPoint()
  t.is((await store.run(['create', 'vm', '--base', base])).code, 0)
  t.is((await store.run(['mount', 'vm', mnt])).code, 0)
  t.is(await shell(`cat ${mnt}/base.txt`), 'the base\n')
  await shell(`echo one > ${mnt}/file && rm ${mnt}/base.txt`)
  t.is((await store.run(['seal', 'vm', '--note', 'first'])).code, 0)
  await shell(`echo two > ${mnt}/file`)
  t.is((await store.run(['seal', 'vm'])).code, 0)

  const log = await store.json<EpochSummary[]>(['log', 'vm'])
  t.deepEqual(log.map(({ number, note }) => [number, note]), [[0, ''], [1, 'first'], [2, '']])
  t.deepEqual(log.map(({ parent }) => parent?.number ?? null), [null, 0, 1])
  const diff = await store.json<DiffEntry[]>(['diff', 'vm@0', 'vm@2'])
  t.deepEqual(diff.map(({ path, change }) => [path, change]),
    [['/', 'metadata'], ['/base.txt', 'removed'], ['/file', 'added']])

  t.is((await store.run(['fork', 'vm@1', 'other'])).code, 0)
  const second = store.mountPoint('second')
  t.is((await store.run(['mount', 'other', second])).code, 0)
  t.is(contentOf(join(second, 'file')), 'one\n')
  t.is(contentOf(join(mnt, 'file')), 'two\n', 'the fork stands beside its original')

  t.is((await store.run(['rollback', 'vm@0'])).code, 1, 'a mounted image cannot be rolled back')
  t.is((await store.run(['unmount', mnt])).code, 0)
  t.is((await store.run(['rollback', 'vm@1'])).code, 0)
  t.is((await store.run(['mount', 'vm', mnt])).code, 0)
  t.is(contentOf(join(mnt, 'file')), 'one\n')
  await shell(`echo three > ${mnt}/file`)
  const sealed = await store.json<{ epoch: EpochSummary }>(['seal', 'vm'])
  t.is(sealed.epoch.number, 3, 'numbers are not used again after a rollback')
  t.is(sealed.epoch.parent?.number, 1)

  const out = store.path('out.txt')
  t.is((await store.run(['export', 'vm@2:/file', out])).code, 0)
  t.is(contentOf(out), 'two\n')
  t.is((await store.run(['export', 'vm@3:/file', '-'])).out, 'three\n')
  t.is((await store.run(['pin', 'vm@2'])).code, 0)
  t.is((await store.run(['rm', 'vm@2'])).code, 1, 'a pinned epoch stays')
  t.is((await store.run(['unpin', 'vm@2'])).code, 0)
  t.is((await store.run(['rm', 'vm@2'])).code, 0)
  t.is((await store.run(['show', 'vm@2'])).code, 3)
  t.is((await store.run(['check', '--read-data'])).code, 0)
  const held = openSync(join(mnt, 'file'), 'r')
  t.is((await store.run(['daemon', 'stop'])).code, 1, 'a daemon whose mount is in use does not stop by itself')
  closeSync(held)
  t.is((await store.run(['daemon', 'stop', '--force'])).code, 0)
  t.is((await store.run(['check', '--read-data'])).code, 0)
})

test('a daemon that is told to writes down what the kernel asks of its mounts', async (t) => {
  const store = await RealStore.make(t)
  const trace = store.path('trace')
  t.is((await store.run(['daemon', 'start'], { HOLDFAST_TRACE: trace })).code, 0)
  const mnt = store.mountPoint()
  await store.run(['create', 'vm'])
  t.is((await store.run(['mount', 'vm', mnt])).code, 0)
  await shell(`mkdir ${mnt}/made`)
  t.is((await store.run(['unmount', mnt])).code, 0)
  const lines = contentOf(trace)
  const [, unique] = /^> (\d+) MKDIR node 1 \{.*\} "made"$/m.exec(lines) ?? []
  t.regex(lines, new RegExp(`^< ${unique} ok `, 'm'))
  t.is(statSync(trace).mode & 0o777, 0o600)
})

test('the base may be deleted once the image is made', async (t) => {
  const store = await RealStore.make(t)
  const base = store.path('disk.raw')
  await shell(`dd if=/dev/urandom of=${base} bs=64K count=40 seek=100 status=none && truncate -s 64M ${base}`)
  const digest = await shell(`sha256sum < ${base}`)
  t.is((await store.run(['create', 'vm', '--base', base])).code, 0)
  rmSync(base)
  const out = store.path('out.raw')
  t.is((await store.run(['export', 'vm@0:/disk.raw', out])).code, 0)
  t.is(await shell(`sha256sum < ${out}`), digest)
  t.true(statSync(out).blocks * 512 < 8 << 20, 'holes stay holes')
  const qcow = store.path('out.qcow2')
  t.is((await store.run(['export', 'vm@0:/disk.raw', qcow, '--format', 'qcow2'])).code, 0)
  await shell(`qemu-img compare -f raw -F qcow2 ${out} ${qcow}`)
  t.pass()
})

test('a daemon that is killed loses nothing that was synced', async (t) => {
  const store = await RealStore.make(t)
  const mnt = store.mountPoint()
  await store.run(['create', 'vm'])
  await store.run(['mount', 'vm', mnt])
  await shell(`echo kept > ${mnt}/file && sync ${mnt}/file`)
  await store.killDaemon()
  t.is((await store.run(['mount', 'vm', mnt])).code, 0, 'the dead mount is cleaned away')
  t.is(contentOf(join(mnt, 'file')), 'kept\n')
  t.is((await store.run(['unmount', mnt])).code, 0)
  t.false(existsSync(join(mnt, 'file')))
})

test('index rebuild makes the index again from the packs alone', async (t) => {
  const store = await RealStore.make(t)
  await store.run(['create', 'vm', '--base', store.file('data', Buffer.alloc(1 << 20, 'abc'))])
  rmSync(join(store.directory, 'index'), { recursive: true })
  t.is((await store.run(['check', '--read-data'])).code, 0, 'a missing index is made by itself')
  t.is((await store.run(['index', 'rebuild'])).code, 0)
  t.is((await store.run(['export', 'vm@0:/data', store.path('out')])).code, 0)
  t.is(contentOf(store.path('out')), Buffer.alloc(1 << 20, 'abc').toString())
})
