/** A store on a small file system: who writes too much is told so, and everything goes on when there is room. */
import { spawnSync } from 'node:child_process'
import { randomFillSync } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import * as fs from 'node:fs/promises'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { ServedStore, scratch } from './served.ts'
import { contract } from './transports.ts'

/** A tmpfs of its own for a store. */
function smallDirectory(t: ExecutionContext, sizeMb: number): string {
  const directory = join(scratch((done) => t.teardown(done)), 'small')
  mkdirSync(directory)
  const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeMb}m`, 'small', directory])
  if (status !== 0) throw new Error(`no tmpfs: ${stderr.toString()}`)
  return join(directory, 'store')
}

contract('a full store says ENOSPC, lets files be removed, and is whole', [], async (t, { name: transport }) => {
  const store = await ServedStore.start(t, { transport, directory: smallDirectory(t, 200) })
  const limits = { segmentBytesMax: 2 ** 22 }
  const mounted = await store.make('full', [], { limits })
  const part = Buffer.alloc(2 ** 20)
  const file = await fs.open(mounted.path('big'), 'w+')
  let written = 0
  const failure = await t.throwsAsync(async () => {
    for (; written < 400; written += 1) {
      randomFillSync(part)
      await file.write(part, 0, part.length, written * part.length)
    }
  })
  t.is((failure as NodeJS.ErrnoException).code, 'ENOSPC')
  t.true(written > 20 && written < 150, `${written} MiB were taken`)
  await file.sync()
  await file.close()
  await fs.stat(mounted.path('big'))
  await fs.rm(mounted.path('big'))
  t.is(await store.call('failure', { directory: mounted.directory }), null)
  const { epoch } = await mounted.seal()
  t.is(epoch?.number, 1)
  await mounted.unmount()
  const again = await store.mount('full')
  t.deepEqual(await fs.readdir(again.directory), [])
  await again.unmount()
  t.deepEqual(((await store.call('check', { readData: true })) as { damaged: unknown[] }).damaged, [])
})

contract('when others fill the file system nothing accepted is lost, and writes go on when they leave', [], async (t, { name: transport }) => {
  const store = await ServedStore.start(t, { transport, directory: smallDirectory(t, 200) })
  const mounted = await store.make('full')
  await fs.writeFile(mounted.path('before'), 'before')
  const ballast = join(store.directory, '..', 'ballast')
  const { bavail, bsize } = await fs.statfs(store.directory)
  await fs.writeFile(ballast, Buffer.alloc(bavail * bsize - 2 ** 20))
  const failure = await t.throwsAsync(fs.writeFile(mounted.path('during'), Buffer.alloc(2 ** 23, 'x')))
  t.is((failure as NodeJS.ErrnoException).code, 'ENOSPC')
  await t.throwsAsync(mounted.seal(), { code: 'NO_SPACE' })
  t.is(await fs.readFile(mounted.path('before'), 'utf8'), 'before')
  await fs.rm(ballast)
  await fs.writeFile(mounted.path('after'), 'after')
  const { epoch } = await mounted.seal()
  await store.fork(`full@${epoch?.number}`, 'fork')
  t.is(await fs.readFile((await store.mount('fork')).path('after'), 'utf8'), 'after')
})
