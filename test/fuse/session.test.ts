/** What the session gives beyond file operations: the control file, late replies, stores, faults. */
import test from 'ava'
import { once } from 'node:events'
import * as fs from 'node:fs/promises'
import { closeSync, openSync } from 'node:fs'
import { ControlFile, mount, openDevice, Session } from '../../fuse/index.ts'
import { MemoryFileSystem } from './memory-filesystem.ts'
import { mountPoint, Served } from './served.ts'

async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  return promise.then(
    () => undefined,
    (error: NodeJS.ErrnoException) => error.code,
  )
}

test.serial('the control file reaches the serving thread, and nothing shows that it is there', async (t) => {
  const served = await Served.start(t)
  await fs.writeFile(served.path('file'), 'x')
  await using control = await ControlFile.open(served.directory, served.controlName)
  const first = JSON.parse((await control.poke()).toString()) as { requestCount: number }
  const second = JSON.parse((await control.poke()).toString()) as { requestCount: number }
  t.true(second.requestCount > first.requestCount)
  t.deepEqual(await fs.readdir(served.directory), ['file'])
  const { mode, uid } = await fs.stat(served.path(served.controlName))
  t.deepEqual([mode, uid], [0o100600, 0])
  t.is(await codeOf(fs.unlink(served.path(served.controlName))), 'ENOENT')
  t.is(await codeOf(fs.writeFile(served.path(served.controlName), 'x')), 'EPERM')
  const again = JSON.parse((await control.poke()).toString()) as { requestCount: number }
  t.true(again.requestCount > second.requestCount)
})

test.serial('the control file works also where opens are answered', async (t) => {
  const served = await Served.start(t, { hasOpen: true })
  const first = await served.counts()
  t.true((await served.counts()).requestCount > first.requestCount)
})

test.serial('a deferred request is answered by another thread, with bytes or an errno', async (t) => {
  const served = await Served.start(t)
  for (const name of ['deferred', 'deferred-error']) {
    await fs.writeFile(served.path(name), '')
    await fs.truncate(served.path(name), 11)
  }
  t.is(await fs.readFile(served.path('deferred'), 'utf8'), 'late answer')
  t.is(await codeOf(fs.readFile(served.path('deferred-error'))), 'ENOSPC')
})

test.serial('a throw is EIO for the asker, reported, and the session goes on', async (t) => {
  const served = await Served.start(t)
  await fs.writeFile(served.path('faulty'), '')
  await fs.truncate(served.path('faulty'), 10)
  t.is(await codeOf(fs.readFile(served.path('faulty'))), 'EIO')
  t.regex((await served.event('fault')).message, /a fault that the test wants/)
  await fs.writeFile(served.path('fine'), 'fine')
  t.is(await fs.readFile(served.path('fine'), 'utf8'), 'fine')
})

test.serial('bytes stored in the page cache are read without a READ', async (t) => {
  const served = await Served.start(t)
  const path = served.path('file')
  const handle = await fs.open(path, 'w+')
  t.teardown(() => handle.close())
  await handle.truncate(1_048_576)
  const { ino } = await handle.stat()
  served.command({ kind: 'store', node: ino, chunk: 3, text: 'stored' })
  t.true((await served.event('notified')).isKnown)
  const { buffer } = await handle.read(Buffer.alloc(65_536), 0, 65_536, 3 * 65_536)
  t.true(buffer.equals(Buffer.alloc(65_536, 'stored')))
  t.deepEqual((await served.counts()).reads, {})
  await handle.read(Buffer.alloc(10), 0, 10, 8 * 65_536)
  t.true((await served.counts()).reads[ino] > 0)
})

test.serial('a store for a node that the kernel does not know says so', async (t) => {
  const served = await Served.start(t)
  served.command({ kind: 'store', node: 12_345, chunk: 0, text: 'x' })
  t.false((await served.event('notified')).isKnown)
})

test.serial('pages stay cached over opens', async (t) => {
  const served = await Served.start(t)
  await fs.writeFile(served.path('file'), Buffer.alloc(100_000, 'x'))
  await fs.readFile(served.path('file'))
  const { reads } = await served.counts()
  for (let times = 0; times < 3; times++) await fs.readFile(served.path('file'))
  t.deepEqual((await served.counts()).reads, reads)
})

test.serial('the session ends when the file system is unmounted', async (t) => {
  const served = await Served.start(t)
  await served.event('negotiated')
  served.command({ kind: 'unmount' })
  t.is((await served.event('ended')).end, 'unmounted')
})

test.serial('a server that replaces another gets the unanswered requests again', async (t) => {
  const directory = mountPoint(t)
  const descriptor = openDevice()
  t.teardown(() => closeSync(descriptor))
  await mount({ directory, name: 'replaced', descriptor })
  const first = await Served.start(t, { directory, descriptor, isMute: true })
  const { negotiated } = await first.event('negotiated')
  for (const name of ['now', 'late']) {
    await fs.writeFile(first.path(name), '')
    await fs.truncate(first.path(name), 11)
  }
  const now = fs.readFile(first.path('now'), 'utf8')
  const late = fs.readFile(first.path('late'), 'utf8')
  while (first.events.filter((event) => event.kind === 'muted').length < 2) await once(first.child, 'message')
  t.false((await first.event('muted')).ticket.resent)
  await first.kill()
  await Served.start(t, { directory, descriptor, negotiated, controlName: first.controlName })
  t.is(await now, 'resent true')
  t.is(await late, 'late answer')
})

test.serial('an invalidated file is read again, and a forgotten name looked up again', async (t) => {
  const served = await Served.start(t)
  const path = served.path('file')
  await fs.writeFile(path, 'contents')
  await fs.readFile(path)
  const { ino } = await fs.stat(path)
  const before = await served.counts()
  served.command({ kind: 'invalidate', node: ino })
  t.true((await served.event('notified')).isKnown)
  t.is(await fs.readFile(path, 'utf8'), 'contents')
  const between = await served.counts()
  t.is(between.reads[ino], before.reads[ino] + 1)
  t.is(between.lookupCount, before.lookupCount)
  served.events.length = 0
  served.command({ kind: 'forgetName', name: 'file' })
  t.true((await served.event('notified')).isKnown)
  await fs.stat(path)
  t.is((await served.counts()).lookupCount, between.lookupCount + 1)
})

test.serial('a traced session prints each request and reply', async (t) => {
  const served = await Served.start(t, { isTraced: true })
  await fs.mkdir(served.path('directory'))
  await served.counts()
  const lines = served.events.flatMap((event) => (event.kind === 'trace' ? [event.line] : []))
  t.regex(lines[0], /^> \d+ INIT node 0 \{major 7, .*ASYNC_READ/)
  const request = lines.find((line) => line.includes(' MKDIR '))
  t.regex(request ?? '', /^> \d+ MKDIR node 1 \{mode \d+, umask \d+\} "directory"$/)
  t.true(lines.includes(`< ${request?.split(' ')[1]} ok 128 bytes`))
})

test('a session pauses after as many messages as it was told, so that its thread can do something else', (t) => {
  const descriptor = openSync('/dev/null', 'r+')
  t.teardown(() => closeSync(descriptor))
  const session = new Session({ descriptor, operations: new MemoryFileSystem(), onFault: (error) => t.fail(String(error)) })
  t.is(session.run(3), 'paused')
  t.is(session.run(3), 'paused')
})
