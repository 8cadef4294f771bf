import test from 'ava'
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureDirectory, removeTree } from '../../src/env/tree.ts'
import { FileLock } from '../../src/env/lock.ts'
import { publishFile, readWhole } from '../../src/env/publish.ts'
import { systemEnv } from '../../src/env/system.ts'

const env = systemEnv()

test.beforeEach((t) => {
  t.context = fs.mkdtempSync(join(tmpdir(), 'holdfast-env-'))
})

test.afterEach.always((t) => {
  fs.rmSync(String(t.context), { recursive: true, force: true })
})

const at = (context: unknown, name: string) => join(String(context), name)

test('what is written is read, also across its end', (t) => {
  using file = env.open(at(t.context, 'f'), 'createNew')
  file.write(Buffer.from('hello'), 3)
  file.writev([Buffer.from('ab'), Buffer.from('cd')], 8)
  const target = Buffer.alloc(20)
  t.is(file.read(target, 3), 9)
  t.is(target.toString('latin1', 0, 9), 'helloabcd')
  t.is(file.size(), 12)
  file.truncate(5)
  t.is(file.size(), 5)
  t.is(file.read(target, 7), 0)
  file.sync()
  file.close()
  file.close()
})

test('modes and codes', (t) => {
  const path = at(t.context, 'f')
  t.throws(() => env.open(path, 'read'), { code: 'NOT_FOUND' })
  t.throws(() => env.open(path, 'write'), { code: 'NOT_FOUND' })
  env.open(path, 'create').close()
  t.throws(() => env.open(path, 'createNew'), { code: 'EXISTS' })
  t.throws(() => env.unlink(at(t.context, 'none')), { code: 'NOT_FOUND' })
  t.throws(() => env.mkdir(path), { code: 'EXISTS' })
  using file = env.open(path, 'read')
  t.throws(() => file.write(Buffer.from('x'), 0), { code: 'IO' })
})

test('a stat tells kind and size and does not follow links', (t) => {
  fs.writeFileSync(at(t.context, 'f'), 'abc')
  fs.symlinkSync('f', at(t.context, 'l'))
  t.like(env.stat(at(t.context, 'f')), { kind: 'file', bytes: 3 })
  t.is(env.stat(at(t.context, 'l')).kind, 'link')
  t.is(env.readlink(at(t.context, 'l')).toString(), 'f')
  t.true(env.exists(at(t.context, 'l')))
  t.false(env.exists(at(t.context, 'g')))
  t.true(env.freeBytes(String(t.context)) > 0)
})

test('a published file replaces the old one and leaves nothing beside it', (t) => {
  const path = at(t.context, 'f')
  publishFile(env, path, Buffer.from('first, longer'))
  fs.writeFileSync(`${path}.tmp`, 'left by a crash, and much longer than what comes')
  publishFile(env, path, Buffer.from('second'))
  t.is(Buffer.from(readWhole(env, path, 100)).toString(), 'second')
  t.is(Buffer.from(readWhole(env, path, 3)).toString(), 'sec')
  t.deepEqual(env.readdir(String(t.context)), ['f'])
})

test('trees are made and removed, links are not followed', (t) => {
  const outside = at(t.context, 'outside')
  fs.writeFileSync(outside, 'stays')
  ensureDirectory(env, at(t.context, 'd'))
  ensureDirectory(env, at(t.context, 'd'))
  ensureDirectory(env, at(t.context, 'd/e'))
  fs.symlinkSync(outside, at(t.context, 'd/e/l'))
  removeTree(env, at(t.context, 'd'))
  removeTree(env, at(t.context, 'd'))
  t.deepEqual(env.readdir(String(t.context)), ['outside'])
})

test('a lock keeps others out until it is let go', (t) => {
  const path = at(t.context, 'lock')
  const lock = FileLock.take(env, path)
  t.throws(() => FileLock.take(env, path), { code: 'LOCKED', message: new RegExp(`process ${process.pid}`) })
  lock.close()
  lock.close()
  FileLock.take(env, path).close()
})
