/** Bad input of each kind: the right exit code, a code and a sentence, and nothing lost. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, openSync, readdirSync, readFileSync, readSync, rmSync, truncateSync, writeFileSync, writeSync, closeSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { RealStore, contentOf, shell } from './real-store.ts'

/** The command fails with this exit code and error code, and says something. */
async function refuses(
  t: ExecutionContext, store: RealStore, words: readonly string[], exit: number, code: string,
): Promise<void> {
  const { code: actual, err } = await store.run(words)
  t.is(actual, exit, `${words.join(' ')}: ${err}`)
  t.regex(err, new RegExp(`^holdfast: .{10,} \\(${code}\\)$`, 'm'), words.join(' '))
}

test('no store, a store already there, not a store', async (t) => {
  const store = RealStore.at(t)
  await refuses(t, store, ['images'], 3, 'NOT_FOUND')
  t.is((await store.run(['init'])).code, 0)
  await refuses(t, store, ['init'], 1, 'EXISTS')
  writeFileSync(join(store.directory, 'store.json'), 'nonsense')
  await refuses(t, store, ['images'], 5, '(DAMAGED|BAD_FORMAT)')
})

test('a store of a newer format version', async (t) => {
  const store = await RealStore.make(t)
  const path = join(store.directory, 'store.json')
  const identity = JSON.parse(readFileSync(path, 'utf8')) as { version: number }
  writeFileSync(path, JSON.stringify({ ...identity, version: identity.version + 1 }))
  await refuses(t, store, ['images'], 1, 'NEWER_VERSION')
  await refuses(t, store, ['mount', 'vm', store.mountPoint()], 1, 'NEWER_VERSION')
})

test('bases that are missing, unreadable, or clash', async (t) => {
  const store = await RealStore.make(t)
  const one = store.file('same', '1')
  mkdirSync(store.path('directory'))
  store.file('directory/same', '2')
  await refuses(t, store, ['create', 'vm', '--base', store.path('missing')], 1, 'BASE_UNREADABLE')
  await refuses(t, store, ['create', 'vm', '--base', '/dev/null'], 1, 'BASE_UNREADABLE')
  await refuses(t, store, ['create', 'vm', '--base', one, '--base', store.path('directory')], 1, 'BASE_CLASH')
  t.deepEqual(await store.json<unknown[]>(['images']), [], 'nothing was made')
})

test('names that cannot be names', async (t) => {
  const store = await RealStore.make(t)
  for (const name of ['a/b', '..', '.hidden', 'a\u0001b', 'a@1', 'a:b', 'x'.repeat(200), '']) {
    const { code, err } = await store.run(['create', name])
    t.is(code, 2, `${JSON.stringify(name)}: ${err}`)
  }
  t.deepEqual(await store.json<unknown[]>(['images']), [])
})

test('images, epochs, paths and mounts that do not exist', async (t) => {
  const store = await RealStore.make(t)
  await store.run(['create', 'vm', '--base', store.file('file', 'x')])
  await refuses(t, store, ['log', 'none'], 3, 'NOT_FOUND')
  await refuses(t, store, ['show', 'vm@7'], 3, 'NOT_FOUND')
  await refuses(t, store, ['show', 'vm'], 2, 'USAGE')
  await refuses(t, store, ['fork', 'vm@7', 'other'], 3, 'NOT_FOUND')
  await refuses(t, store, ['rollback', 'vm@7'], 3, 'NOT_FOUND')
  await refuses(t, store, ['export', 'vm@0:/none', store.path('out')], 3, 'NOT_FOUND')
  await refuses(t, store, ['export', 'vm@0:/file', store.file('there', 'mine')], 1, 'EXISTS')
  t.is(contentOf(store.path('there')), 'mine')
  await refuses(t, store, ['unmount', store.mountPoint()], 3, 'NOT_FOUND')
  await refuses(t, store, ['create', 'vm'], 1, 'EXISTS')
})

test('mount points that are missing, not empty, not directories, in use; an image mounted twice', async (t) => {
  const store = await RealStore.make(t)
  await store.run(['create', 'vm'])
  await store.run(['create', 'other'])
  await refuses(t, store, ['mount', 'vm', store.path('missing')], 3, 'NOT_FOUND')
  await refuses(t, store, ['mount', 'vm', store.file('plain', '')], 2, 'USAGE')
  const full = store.mountPoint('full')
  store.file('full/x', '')
  await refuses(t, store, ['mount', 'vm', full], 1, 'BUSY')
  const mnt = store.mountPoint()
  t.is((await store.run(['mount', 'vm', mnt])).code, 0)
  await refuses(t, store, ['mount', 'other', mnt], 1, 'BUSY')
  await refuses(t, store, ['mount', 'vm', store.mountPoint('second')], 1, 'BUSY')
  await refuses(t, store, ['rm', 'vm'], 1, 'BUSY')
  const held = openSync(mnt, 'r')
  await refuses(t, store, ['unmount', mnt], 1, 'BUSY')
  await shell(`echo still > ${mnt}/served`)
  closeSync(held)
  t.is((await store.run(['unmount', mnt])).code, 0)
})

test('a store that another process holds', async (t) => {
  const store = await RealStore.make(t)
  const holder = await shell(`cd ${store.directory} && pwd`)
  const { openChunkStore } = await import('../../src/store/open.ts')
  const { systemEnv } = await import('../../src/env/system.ts')
  await using _held = await openChunkStore(systemEnv(), holder.trim())
  await refuses(t, store, ['images'], 4, 'LOCKED')
  await refuses(t, store, ['mount', 'vm', store.mountPoint()], 4, 'LOCKED')
})

test('a flipped bit in a pack is found, named, and never served', async (t) => {
  const store = await RealStore.make(t)
  const content = randomBytes(1 << 20)
  await store.run(['create', 'vm', '--base', store.file('data', content)])
  await store.run(['create', 'other', '--base', store.file('small', 'small')])
  const packs = join(store.directory, 'packs')
  flip(join(packs, readdirSync(packs)[0]), 300_000)
  const { code, out } = await store.run(['check', '--read-data', '--json'])
  t.is(code, 5, out)
  t.true(out.includes('vm@0'), 'the report names the epoch')
  t.is((await store.run(['export', 'vm@0:/data', store.path('out')])).code, 5)
  t.is((await store.run(['export', 'other@0:/small', store.path('out2')])).code, 0, 'the other image is whole')
  const healed = await store.run(['check', '--read-data', '--repair'])
  t.is(healed.code, 0, healed.out)
  t.regex(healed.out, /no damage, \d+ faults? healed/)
  t.is((await store.run(['export', 'vm@0:/data', store.path('out3')])).code, 0)
  t.true(readFileSync(store.path('out3')).equals(content))
})

test('a pack that is gone, or cut short, is damage to whoever asks for what was in it', async (t) => {
  const store = await RealStore.make(t)
  await store.run(['create', 'vm', '--base', store.file('data', randomBytes(1 << 20))])
  const packs = join(store.directory, 'packs')
  const path = join(packs, readdirSync(packs)[0])
  truncateSync(path, 1000)
  await refuses(t, store, ['export', 'vm@0:/data', store.path('out')], 5, 'DAMAGED')
  t.regex((await store.run(['check'])).out, /costs vm@0/)
  rmSync(path)
  rmSync(join(store.directory, 'index'), { recursive: true })
  await refuses(t, store, ['export', 'vm@0:/data', store.path('out')], 5, 'DAMAGED')
  await refuses(t, store, ['mount', 'vm', store.mountPoint()], 5, 'DAMAGED')
  t.is((await store.run(['check', '--repair'])).code, 5)
})

test('a damaged epoch record leaves the other epochs usable', async (t) => {
  const store = await RealStore.make(t)
  await store.run(['create', 'vm', '--base', store.file('data', 'zero')])
  await store.run(['seal', 'vm'])
  await store.run(['seal', 'vm'])
  flip(join(store.directory, 'images', 'vm', 'epochs', '00000001'), 130)
  await refuses(t, store, ['show', 'vm@1'], 5, 'DAMAGED')
  t.is((await store.run(['show', 'vm@2'])).code, 0)
  t.is((await store.run(['export', 'vm@0:/data', store.path('out')])).code, 0)
  const { code, out } = await store.run(['check', '--json'])
  t.is(code, 5)
  t.true(out.includes('vm@1'))
})

test('a full disk: the writer gets ENOSPC, the store stays usable, nothing synced is lost', async (t) => {
  const store = RealStore.at(t)
  mkdirSync(store.directory)
  await shell(`mount -t tmpfs -o size=160m tmpfs ${store.directory}`)
  t.teardown(() => shell(`umount -l ${store.directory}`))
  t.is((await store.run(['init'])).code, 0)
  await store.run(['create', 'vm'])
  const mnt = store.mountPoint()
  t.is((await store.run(['mount', 'vm', mnt])).code, 0)
  await shell(`dd if=/dev/urandom of=${mnt}/kept bs=1M count=4 conv=fsync status=none`)
  const digest = await shell(`sha256sum < ${mnt}/kept`)
  const full = await shell(`dd if=/dev/urandom of=${mnt}/big bs=1M count=400 2>&1 || true`)
  t.regex(full, /No space left on device/)
  t.is(await shell(`sha256sum < ${mnt}/kept`), digest)
  await shell(`rm ${mnt}/big`)
  const sealed = await store.run(['seal', 'vm'])
  t.is(sealed.code, 0, sealed.err)
  t.is((await store.run(['unmount', mnt])).code, 0)
  t.is((await store.run(['check', '--read-data'])).code, 0)
  t.is((await store.run(['daemon', 'stop'])).code, 0)
})

function flip(path: string, offset: number): void {
  const fd = openSync(path, 'r+')
  const byte = Buffer.alloc(1)
  readSync(fd, byte, 0, 1, offset)
  byte[0] ^= 1
  writeSync(fd, byte, 0, 1, offset)
  closeSync(fd)
}
