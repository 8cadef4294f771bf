/** Mounting and unmounting: what is refused, what goes on, and what waits. */
import * as fs from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { mountAt } from '../../fuse/index.ts'
import { ServedStore } from './served.ts'
import { contract } from './transports.ts'

contract('a mount in use is busy and goes on; lazily it is detached and ends with its last file', [], async (t, { name: transport }) => {
  const store = await ServedStore.start(t, { transport })
  const mounted = await store.make('life')
  const handle = await fs.open(mounted.path('f'), 'w+')
  await handle.write('one ')
  await t.throwsAsync(mounted.unmount(), { code: 'BUSY' })
  await handle.write('two ')
  await mounted.seal('still served')
  const gone = mounted.unmount({ lazy: true })
  await untilDetached(mounted.directory)
  t.deepEqual(await fs.readdir(mounted.directory), [])
  await handle.write('three')
  await t.throwsAsync(store.mount('life'), { code: 'BUSY' })
  await handle.close()
  await gone
  const again = await store.mount('life')
  t.is(await fs.readFile(again.path('f'), 'utf8'), 'one two three')
})

contract('what a log held without a header is kept, and the mount says so', [], async (t, { name: transport }) => {
  const store = await ServedStore.start(t, { transport })
  const mounted = await store.make('kept')
  await fs.writeFile(mounted.path('f'), 'written')
  await mounted.unmount()
  await fs.writeFile(join(store.directory, 'images', 'kept', 'log', '00000099.disk'), Buffer.alloc(5000, 0xa5))
  const again = await store.mount('kept')
  t.is(await fs.readFile(again.path('f'), 'utf8'), 'written')
  t.true(store.events.some((event) => event.type === 'fault' && event.message.includes('begins with no header')))
  t.is((await fs.readdir(join(store.directory, 'quarantine'))).filter((name) => name.endsWith('00000099.disk')).length, 1)
})

async function untilDetached(directory: string): Promise<void> {
  while (mountAt(directory) !== undefined) await setTimeout(5)
}

contract('by force a mount ends under its users, and all that was written is kept', [], async (t, { name: transport }) => {
  const store = await ServedStore.start(t, { transport })
  const mounted = await store.make('force')
  const handle = await fs.open(mounted.path('f'), 'w+')
  t.teardown(() => handle.close().catch(() => undefined))
  await handle.write('written')
  await mounted.unmount({ lazy: true, force: true })
  const failure = await t.throwsAsync(handle.write('more'))
  t.regex((failure as NodeJS.ErrnoException).code ?? '', /^(ENOTCONN|ECONNABORTED)$/)
  t.is(await fs.readFile((await store.mount('force')).path('f'), 'utf8'), 'written')
})

contract('what cannot be mounted, or not there, is refused by code and leaves the image free', [], async (t, { name: transport }) => {
  const store = await ServedStore.start(t, { transport })
  await store.call('createImage', { image: 'a', base: [] })
  await store.call('createImage', { image: 'b', base: [] })
  const around = join(store.directory, '..')
  const full = join(around, 'full')
  await fs.mkdir(full)
  await fs.writeFile(join(full, 'file'), '')
  await t.throwsAsync(store.mount('a', { directory: join(around, 'none') }), { code: 'NOT_FOUND' })
  await t.throwsAsync(store.mount('a', { directory: full }), { code: 'BUSY' })
  await t.throwsAsync(store.mount('a', { directory: join(full, 'file') }), { code: 'USAGE' })
  await t.throwsAsync(store.mount('none'), { code: 'NOT_FOUND' })
  const first = await store.mount('a')
  await t.throwsAsync(store.mount('a'), { code: 'BUSY' })
  await t.throwsAsync(store.mount('b', { directory: first.directory }), { code: 'BUSY' })
  const second = await store.mount('b')
  await fs.writeFile(first.path('x'), 'of a')
  await fs.writeFile(second.path('x'), 'of b')
  await Promise.all([first.seal(), second.seal()])
  t.is(await fs.readFile(first.path('x'), 'utf8'), 'of a')
  await first.unmount()
  t.is(await fs.readFile(second.path('x'), 'utf8'), 'of b')
  await t.throwsAsync(store.call('remove', { target: 'b' }), { code: 'BUSY' })
  await second.unmount()
  await store.call('remove', { target: 'b' })
})

contract('writes that come faster than commits wait, and all of them arrive', [], async (t, { name: transport }) => {
  const store = await ServedStore.start(t, { transport })
  const limits = { segmentBytesMax: 2 ** 19, logBytesMax: 2 ** 20, laneSyncBytes: 2 ** 19 }
  const mounted = await store.make('pressure', [], { limits })
  const bytes = Buffer.alloc(2 ** 20)
  for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE(Math.imul(at, 0x9e3779b1) >>> 0, at)
  const files = await Promise.all(['a', 'b', 'c'].map((name) => fs.open(mounted.path(name), 'w+')))
  for (let part = 0; part < 12; part += 1) {
    bytes.writeUInt32LE(part, 0)
    await Promise.all(files.map((file) => file.write(bytes, 0, bytes.length, part * bytes.length)))
  }
  t.true((await mounted.statistics()).waited > 0, 'some writes waited')
  for (const file of files) {
    const { buffer } = await file.read(Buffer.alloc(bytes.length), 0, bytes.length, 11 * bytes.length)
    t.true(buffer.equals(bytes))
    t.is((await file.stat()).size, 12 * bytes.length)
    await file.close()
  }
  t.true((await mounted.statistics()).unretiredBytes < limits.logBytesMax + 2 * 2 ** 20)
  await mounted.unmount()
})

contract('writes that wait while their mount is being detached arrive too', [], async (t, { name: transport }) => {
  const store = await ServedStore.start(t, { transport })
  const limits = { segmentBytesMax: 2 ** 19, logBytesMax: 2 ** 20, laneSyncBytes: 2 ** 19 }
  const mounted = await store.make('pressure', [], { limits })
  const bytes = Buffer.alloc(2 ** 20, 'waits ')
  const file = await fs.open(mounted.path('f'), 'w+')
  const writes = Array.from({ length: 24 }, async (_, part) => {
    bytes.writeUInt32LE(part, 0)
    await file.write(bytes, 0, bytes.length, part * bytes.length)
  })
  const detached = mounted.unmount({ lazy: true })
  await Promise.all(writes)
  await file.close()
  await detached
  const again = await store.mount('pressure')
  t.is((await fs.stat(again.path('f'))).size, 24 * bytes.length)
  t.true((await fs.readFile(again.path('f'))).subarray(-100).equals(bytes.subarray(-100)))
})

contract('a memory file appears in the root, is not synced, and its name is taken once', ['machineMemory'], async (t, { name: transport }) => {
  const store = await ServedStore.start(t, { transport })
  const mounted = await store.make('memory')
  await t.throwsAsync(fs.stat(mounted.path('ram')), { code: 'ENOENT' })
  await store.call('makeMemory', { directory: mounted.directory, name: 'ram', bytes: 2 ** 26 })
  const { size, mode, blocks } = await fs.stat(mounted.path('ram'))
  t.deepEqual([size, mode & 0o7777, blocks], [2 ** 26, 0o600, 0])
  await t.throwsAsync(store.call('makeMemory', { directory: mounted.directory, name: 'ram', bytes: 1 }), { code: 'EXISTS' })
  const file = await fs.open(mounted.path('ram'), 'r+')
  await file.write('page', 2 ** 25)
  await file.sync()
  await file.close()
  await mounted.seal()
  await mounted.unmount()
  const handle = await fs.open((await store.mount('memory')).path('ram'))
  t.is((await handle.read(Buffer.alloc(4), 0, 4, 2 ** 25)).buffer.toString(), 'page')
  await handle.close()
})
