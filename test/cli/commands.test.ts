/** Commands in processes of their own: what they print, their exit codes, and the daemon they start. */
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import test from 'ava'
import { FileLock } from '../../src/env/lock.ts'
import { systemEnv } from '../../src/env/system.ts'
import { daemonPid, fakeStore, isAlive, scratchDirectory } from '../daemon/scratch.ts'
import { resultOf, runCli, startCli } from './run-cli.ts'

test('a store is made once', async (t) => {
  const store = join(scratchDirectory(t), 'new')
  t.like(await runCli(['--store', store, 'images']), { code: 3, out: '' })
  const made = await runCli(['init', '--json'], { HOLDFAST_STORE: store })
  t.like(JSON.parse(made.out), { directory: store, formatVersion: 1 })
  t.like(await runCli(['--store', store, 'init', '--json']), { code: 1 })
  t.like(await runCli(['--store', store, 'images', '--json']), { code: 0, out: '[]\n', err: '' })
})

test('short commands need no daemon and start none', async (t) => {
  const store = fakeStore(t)
  t.like(await runCli(['--store', store, 'create', 'a', '--json']), { code: 0 })
  t.like(JSON.parse((await runCli(['--store', store, 'daemon', 'status', '--json'])).out), { running: false, pid: null, servingPid: null })
  t.like(JSON.parse((await runCli(['--store', store, 'daemon', 'stop', '--json'])).out), { running: false })
  t.is(daemonPid(store), null)
})

test('a store that another process holds is LOCKED, with a daemon to start as without', async (t) => {
  const store = fakeStore(t)
  using _lock = FileLock.take(systemEnv(), join(store, 'lock'))
  for (const words of [['images'], ['mount', 'a', '/mnt'], ['daemon', 'start']]) {
    const { code, out } = await runCli(['--store', store, ...words, '--json'])
    t.is(code, 4, words.join(' '))
    t.like(JSON.parse(out), { error: { code: 'LOCKED', info: { pid: process.pid } } })
  }
})

test('what keeps a daemon from starting is told to the command that needed it', async (t) => {
  const store = fakeStore(t)
  writeFileSync(join(store, 'newer'), '')
  const { code, err } = await runCli(['--store', store, 'mount', 'a', '/mnt'])
  t.is(code, 1)
  t.regex(err, /\(NEWER_VERSION\)/)
  const none = await runCli(['--store', join(store, 'none'), 'mount', 'a', '/mnt'])
  t.is(none.code, 3)
  t.false(existsSync(join(store, 'none')))
})

test('commands that need a daemon at once get one between them', async (t) => {
  const store = fakeStore(t)
  const results = await Promise.all([1, 2, 3].map((each) => runCli(['--store', store, 'mount', 'a', `/mnt${each}`, '--json'])))
  t.deepEqual(results.map(({ code, err }) => ({ code, err })), results.map(() => ({ code: 0, err: '' })))
  const status = JSON.parse((await runCli(['--store', store, 'daemon', 'status', '--json'])).out) as { pid: number; mounts: unknown[] }
  t.is(status.mounts.length, 3)
  t.is(daemonPid(store), status.pid)
  t.like(await runCli(['--store', store, 'daemon', 'stop']), { code: 1 })
  t.true(isAlive(status.pid))
  t.like(await runCli(['--store', store, 'daemon', 'stop', '--force']), { code: 0, out: 'no daemon runs\n' })
  t.like(await runCli(['--store', store, 'images']), { code: 0 })
  t.is(daemonPid(store), null)
})

test('what a killed daemon left does not mislead', async (t) => {
  const store = fakeStore(t)
  t.like(await runCli(['--store', store, 'daemon', 'start']), { code: 0 })
  const pid = daemonPid(store) ?? 0
  process.kill(pid, 'SIGKILL')
  while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 5))
  t.true(existsSync(join(store, 'daemon', 'control.sock')))
  t.like(await runCli(['--store', store, 'images', '--json']), { code: 0, out: '[]\n' })
  t.false(existsSync(join(store, 'daemon', 'control.sock')))
  t.like(await runCli(['--store', store, 'daemon', 'start']), { code: 0 })
  t.not(daemonPid(store), pid)
  t.like(await runCli(['--store', store, 'daemon', 'stop']), { code: 0 })
})

test('SIGTERM ends a daemon as "daemon stop --force" does', async (t) => {
  const store = fakeStore(t)
  await runCli(['--store', store, 'mount', 'a', '/mnt'])
  const pid = daemonPid(store) ?? 0
  process.kill(pid, 'SIGTERM')
  while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 5))
  t.is(daemonPid(store), null)
  t.regex(readFileSync(join(store, 'daemon', 'log'), 'utf8'), /stops on SIGTERM\n.* stopped\n/)
})

test('a newer daemon is told apart, and how to end it is said', async (t) => {
  const store = fakeStore(t)
  const server = createServer((socket) => socket.end('{"hello":{"protocol":99,"version":"9.9.9","pid":77}}\n'))
  server.listen(join(store, 'daemon', 'control.sock'))
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { code, err } = await runCli(['--store', store, 'images'])
  t.is(code, 1)
  t.regex(err, /version 9\.9\.9.*restart the daemon, kill -TERM 77.*\(DAEMON\)\n$/)
})

for (const place of ['in process', 'in the daemon']) {
  test(`Ctrl-C aborts a call ${place}`, async (t) => {
    const store = fakeStore(t)
    if (place === 'in the daemon') await runCli(['--store', store, 'daemon', 'start'])
    symlinkSync('/dev/null', join(store, 'slow'))
    const child = startCli(['--store', store, 'create', 'a', '--base', join(store, 'slow'), '--json', '--progress'])
    const ended = resultOf(child)
    await once(child.stdout as Readable, 'data')
    child.kill('SIGINT')
    const { code, out } = await ended
    t.is(code, 130)
    const lines = out.trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>)
    t.like(lines[0], { progress: { step: 'take in' } })
    t.like(lines[lines.length - 1], { error: { code: 'ABORTED' } })
    t.deepEqual(JSON.parse((await runCli(['--store', store, 'images', '--json'])).out), [])
  })
}

test('progress of a long call comes on standard error, the document alone on standard output', async (t) => {
  const store = fakeStore(t)
  const child = startCli(['--store', store, 'create', 'a', '--base', '/slow', '--json'])
  const ended = resultOf(child)
  await once(child.stderr as Readable, 'data')
  child.kill('SIGINT')
  const { out, err } = await ended
  t.regex(err, /^take in: [\d,]+ files/)
  t.like(JSON.parse(out), { error: { code: 'ABORTED' } })
})

test('export to standard output gives the bytes and leaves no file', async (t) => {
  const store = fakeStore(t)
  const temporary = scratchDirectory(t)
  const { code, out, err } = await runCli(['--store', store, 'export', 'a@0:/disk', '-'], { TMPDIR: temporary })
  t.deepEqual({ code, out, err }, { code: 0, out: 'bytes of /disk\n', err: '' })
  t.deepEqual(readdirSync(temporary), [])
  t.like(await runCli(['--store', store, 'export', 'a@0:/disk', '-', '--json']), { code: 2 })
})

test('damage that check finds is exit code 5, with the report printed', async (t) => {
  const store = fakeStore(t)
  t.like(await runCli(['--store', store, 'check']), { code: 0 })
  writeFileSync(join(store, 'damage'), '')
  const { code, out } = await runCli(['--store', store, 'check', '--json'])
  t.is(code, 5)
  t.like(JSON.parse(out), { damaged: [{ what: 'record' }] })
  t.regex((await runCli(['--store', store, 'check'])).out, /1 fault\n.*bad digest/)
})
