/** An encrypted store as its user sees it: real commands, a real daemon, real mounts. */
import { mkdirSync, readFileSync, readdirSync, statSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { systemEnv } from '../../src/env/system.ts'
import { beginRotation } from '../../src/image/keys.ts'
import type { CheckReport, KeyReport } from '../../src/image/types.ts'
import { openChunkStore } from '../../src/store/open.ts'
import { daemonPid } from '../daemon/scratch.ts'
import { RealStore, contentOf, shell } from './real-store.ts'

const passphrase = 'correct horse battery staple'
const marker = 'MARKER-IN-PLAIN-SIGHT'
const withPassphrase = { HOLDFAST_PASSPHRASE: passphrase }

/** Every file under a directory, sockets and what cannot be read left out. */
function* filesUnder(directory: string): Generator<string> {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) yield* filesUnder(path)
    else if (entry.isFile()) yield path
  }
}

/** Looks again where a daemon removed or renamed one of them meanwhile. */
function filesWith(directory: string, text: string): string[] {
  for (;;) {
    try {
      return [...filesUnder(directory)].filter((path) => readFileSync(path).includes(text))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
}

test('no file of an encrypted store holds what was written into it, nor the names of files in it', async (t) => {
  const store = RealStore.at(t)
  t.is((await store.run(['init', '--encrypt'], withPassphrase)).code, 0)
  const base = store.file(`${marker}-base`, `${marker} in the base\n`.repeat(300))
  t.is((await store.run(['create', 'vm', '--base', base], withPassphrase)).code, 0)
  const mnt = store.mountPoint()
  const { code, err } = await store.run(['mount', 'vm', mnt], withPassphrase)
  t.is(code, 0, err)
  await shell(`for n in $(seq 2000); do echo ${marker} $n; done > ${mnt}/${marker} && sync ${mnt}/${marker}`)
  t.deepEqual(filesWith(store.directory, marker), [], 'the log is sealed')
  t.is((await store.run(['seal', 'vm', '--note', `${marker} as a note`])).code, 0, 'the daemon has the keys')
  await shell(`echo ${marker} behind the seal >> ${mnt}/${marker}`)
  t.deepEqual(filesWith(store.directory, marker), [])
  t.deepEqual(filesWith(store.directory, passphrase), [])
  const pid = daemonPid(store.directory)
  for (const file of ['environ', 'cmdline']) t.false(readFileSync(`/proc/${pid}/${file}`).includes(passphrase), file)

  process.kill(Number((await store.json<{ servingPid: number }>(['daemon', 'status'])).servingPid), 'SIGKILL')
  t.regex(contentOf(join(mnt, marker)), new RegExp(`${marker} behind the seal\n$`), 'its successor has the keys, too')
  t.is((await store.run(['unmount', mnt])).code, 0)
  t.is((await store.run(['daemon', 'stop'])).code, 0)
  const opened = await store.run(['export', `vm@1:/${marker}`, '-'], withPassphrase)
  t.is(opened.out.split('\n').length, 2001)
  t.is((await store.run(['check', '--read-data'], withPassphrase)).code, 0)
  t.deepEqual(filesWith(store.directory, marker), [])
})

test('without its secret, or with another, an encrypted store stays shut and whole', async (t) => {
  const store = RealStore.at(t)
  t.is((await store.run(['init', '--encrypt'])).code, 1, 'there is no secret to encrypt it with')
  const key = store.file('key', Buffer.alloc(32, 7))
  t.is((await store.run(['init', '--encrypt', '--key-file', store.file('short', 'short')])).code, 2)
  t.is((await store.run(['init', '--encrypt', '--key-file', store.path('none')])).code, 3)
  t.is((await store.run(['init', '--encrypt', '--key-file', key])).code, 0)
  const mnt = store.mountPoint()
  for (const words of [['stats'], ['create', 'vm'], ['mount', 'vm', mnt], ['key', 'list'], ['index', 'rebuild']]) {
    const none = await store.run([...words, '--json'])
    t.is((JSON.parse(none.out) as { error: { code: string } }).error.code, 'KEY_NEEDED', words.join(' '))
    const wrong = await store.run([...words, '--json'], withPassphrase)
    t.is((JSON.parse(wrong.out) as { error: { code: string } }).error.code, 'KEY_WRONG', words.join(' '))
    t.is(wrong.code, 1)
  }
  t.is((await store.run(['create', 'vm', '--key-file', key])).code, 0)
  t.is((await store.run(['stats'], { HOLDFAST_KEY_FILE: key })).code, 0)
})

test('a key file may lie behind a link, and must be a file', async (t) => {
  const store = RealStore.at(t)
  const link = store.path('link')
  symlinkSync(store.file('key', Buffer.alloc(32, 7)), link)
  t.is((await store.run(['init', '--encrypt', '--key-file', link])).code, 0)
  t.is((await store.run(['stats', '--key-file', link])).code, 0)
  const none = await store.run(['stats', '--key-file', store.path('none')])
  t.deepEqual([none.code, /there is no key file .*none \(NOT_FOUND\)/.test(none.err)], [3, true], none.err)
  const directory = await store.run(['stats', '--key-file', store.root])
  t.deepEqual([directory.code, /cannot be a key file: it is no file/.test(directory.err)], [2, true], directory.err)
  symlinkSync(store.file('passphrase', `${passphrase}\n`), store.path('link2'))
  t.is((await store.run(['key', 'add', '--key-file', link], { HOLDFAST_NEW_PASSPHRASE_FILE: store.path('link2') })).code, 0)
  t.is((await store.run(['stats'], withPassphrase)).code, 0)
})

test('a rotation that ended before it sealed anything leaves no damage, and is finished by the next', async (t) => {
  const store = RealStore.at(t)
  const bytes = Buffer.alloc(32, 7)
  const withKey = { HOLDFAST_KEY_FILE: store.file('key', bytes) }
  t.is((await store.run(['init', '--encrypt'], withKey)).code, 0)
  t.is((await store.run(['create', 'vm', '--base', store.file('base', 'some text')], withKey)).code, 0)
  const secret = { kind: 'keyFile', bytes } as const
  const opened = await openChunkStore(systemEnv(), store.directory, { secret })
  beginRotation(systemEnv(), opened, secret)
  await opened.close()
  const checked = await store.run(['check', '--read-data'], withKey)
  t.is(checked.code, 0, checked.out)
  t.is((await store.run(['key', 'rotate-master'], withKey)).code, 0)
  t.is((await store.run(['check', '--read-data'], withKey)).code, 0)
  t.is((await store.run(['export', 'vm@0:/base', '-'], withKey)).out, 'some text')
})

test('keys: added, changed, removed, and rotated to the last byte', async (t) => {
  const store = RealStore.at(t)
  const key = store.file('key', Buffer.alloc(32, 7))
  const other = store.file('other', Buffer.alloc(40, 8))
  const withKey = { HOLDFAST_KEY_FILE: key }
  t.is((await store.run(['init', '--encrypt', '--key-file', key])).code, 0)
  const base = store.file('base', Buffer.alloc(300_000, 'some text that is in the base '))
  t.is((await store.run(['create', 'vm', '--base', base], withKey)).code, 0)
  t.is((await store.run(['fork', 'vm@0', 'other'], withKey)).code, 0)

  t.is((await store.run(['key', 'add'], { ...withKey, HOLDFAST_NEW_PASSPHRASE: passphrase })).code, 0)
  t.is((await store.run(['stats'], withPassphrase)).code, 0)
  t.is((await store.run(['key', 'change', '1', '--new-key-file', other], withPassphrase)).code, 0)
  t.is((await store.run(['stats'], withKey)).code, 1)
  const before = await store.run(['key', 'list', '--json', '--key-file', other])
  t.deepEqual((JSON.parse(before.out) as KeyReport).slots.map(({ kind }) => kind), ['key file', 'passphrase'])

  const packs = readdirSync(join(store.directory, 'packs'))
  const rotated = await store.run(['key', 'rotate-master', '--json'], withPassphrase)
  t.is(rotated.code, 0, rotated.out)
  t.like(JSON.parse(rotated.out), { keyId: 2, slots: [{ slot: 2, kind: 'passphrase' }] })
  t.false(readdirSync(join(store.directory, 'packs')).some((name) => packs.includes(name)), 'no pack stays')
  t.is((await store.run(['stats', '--key-file', other])).code, 1, 'the other slots are gone')
  const report = await store.run(['check', '--read-data', '--json'], withPassphrase)
  t.deepEqual((JSON.parse(report.out) as CheckReport).damaged, [])
  t.is((await store.run(['export', 'other@0:/base', '-'], withPassphrase)).out, readFileSync(base, 'utf8'))
  t.is((await store.run(['key', 'add', '--new-key-file', key], withPassphrase)).code, 0)
  t.is((await store.run(['key', 'remove', '2'], withKey)).code, 0)
  t.is((await store.run(['key', 'remove', '3'], withKey)).code, 2, 'the last slot stays')
  t.is((await store.run(['stats'], withPassphrase)).code, 1)
})

test('a plain store has no keys to change', async (t) => {
  const store = await RealStore.make(t)
  const { out } = await store.run(['key', 'list', '--json'])
  t.is((JSON.parse(out) as { error: { code: string } }).error.code, 'UNSUPPORTED')
})

test('what a daemon makes is for its owner alone', async (t) => {
  const store = await RealStore.make(t)
  t.is((await store.run(['create', 'vm'])).code, 0)
  t.is((await store.run(['mount', 'vm', store.mountPoint()])).code, 0)
  const modeOf = (name: string): string => (statSync(join(store.directory, name)).mode & 0o777).toString(8)
  t.is(modeOf('daemon'), '700')
  t.is(modeOf('daemon/control.sock'), '600')
  // Also where somebody made the store's own directory open to all.
  for (const name of readdirSync(store.directory)) {
    t.is((statSync(join(store.directory, name)).mode & 0o077).toString(8), '0', `${name} is closed to others`)
  }
})

test('an empty node asks for the secret of an encrypted replica, and opens with it from then on', async (t) => {
  const [store, node] = [RealStore.at(t), RealStore.at(t)]
  t.is((await store.run(['init', '--encrypt'], withPassphrase)).code, 0)
  const base = store.file(`${marker}-base`, `${marker} in the base\n`.repeat(300))
  t.is((await store.run(['create', 'vm', '--base', base], withPassphrase)).code, 0)
  mkdirSync(store.path('replica'))
  const url = `file://${store.path('replica')}`
  t.is((await store.run(['replica', 'add', 'far', url], withPassphrase)).code, 0)
  t.is((await store.run(['replica', 'sync'], withPassphrase)).code, 0)
  t.deepEqual(filesWith(store.path('replica'), marker), [])
  t.regex((await node.run(['replica', 'images', url])).err, /encrypted: give its key file/)
  t.regex((await node.run(['replica', 'images', url], withPassphrase)).out, /vm/)
  const restore = ['restore', url, 'vm', '--full', '--takeover']
  t.regex((await node.run(restore)).err, /encrypted: give its key file/)
  t.regex((await node.run(restore, { HOLDFAST_PASSPHRASE: 'wrong' })).err, /opens none of the key slots/)
  const restored = await node.run(restore, withPassphrase)
  t.is(restored.code, 0, restored.err)
  t.is((await node.run(['seal', 'vm', '--note', 'on'])).code, 0, 'its daemon has the keys')
  t.is((await node.run(['daemon', 'stop'])).code, 0)
  t.is((await node.run(['seal', 'vm'])).code, 1, 'nobody has them now')
  t.is((await node.run(['check', '--read-data'], withPassphrase)).code, 0)
  t.deepEqual(filesWith(node.directory, marker).filter((path) => !path.endsWith('image.json')), [])
})
