/** The serving process is killed under load: what was synced is there, and nothing that was never written. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { open, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { ExecutionContext } from 'ava'
import { cleanStaleMount, cleanStaleMountsBelow } from '../../src/mount/stale.ts'
import { mountAt } from '../../fuse/index.ts'
import { Random } from '../random.ts'
import { ServedStore } from './served.ts'
import { contract } from './transports.ts'

const blockBytes = 4096
const blockCount = 3000
/** Small segments: the crashes fall into rotations, commits and retirements. */
const limits = { segmentBytesMax: 2 ** 20, laneSyncBytes: 2 ** 18 }

contract('a killed server loses nothing that was synced', [], async (t, { name: transport }) => {
  const random = Random.announced(t)
  let store = await ServedStore.start(t, { transport })
  await store.call('createImage', { image: 'crash', base: [] })
  let synced = 0
  let newest = 0
  for (let round = 0; round < 6; round += 1) {
    const mounted = await store.mount('crash', { limits })
    const file = mounted.path('blocks')
    if (round === 0) {
      const handle = await open(file, 'w')
      await handle.truncate(blockBytes * blockCount)
      await handle.sync()
      await handle.close()
    } else {
      newest = check(t, await readFile(file), synced)
    }
    const writer = startWriter(t, file, newest + 1)
    await once(writer.child.stdout!, 'data')
    const seals = sealWhileServed(store, mounted.directory)
    await setTimeout(random.below(700))
    await store.kill()
    await seals
    synced = await lastSynced(writer)
    t.true(synced > newest)
    t.true(await cleanStaleMount(mounted.directory))
    t.is(mountAt(mounted.directory), undefined)
    store = await ServedStore.start(t, { transport, directory: store.directory })
  }
  const mounted = await store.mount('crash')
  t.true(check(t, await readFile(mounted.path('blocks')), synced) >= synced)
  t.deepEqual(((await store.call('check', { readData: true })) as { damaged: unknown[] }).damaged, [])
})

/** Every block at least as new as the last round of writes that was synced; the newest number found. */
function check(t: ExecutionContext, bytes: Buffer, synced: number): number {
  t.is(bytes.length, blockBytes * blockCount)
  let newest = 0
  for (let place = 0; place < blockCount; place += 1) {
    const block = bytes.subarray(place * blockBytes, (place + 1) * blockBytes)
    const number = block.readDoubleLE(0)
    const isWhole = block.equals(Buffer.concat(Array.from({ length: blockBytes / 8 }, () => block.subarray(0, 8))))
    const due = synced - ((synced - place) % blockCount + blockCount) % blockCount
    if (!isWhole || !Number.isInteger(number) || (number !== 0 && number % blockCount !== place) || number < due) {
      t.fail(`place ${place} holds ${number}, whole: ${isWhole}, synced up to ${synced}`)
    }
    newest = Math.max(newest, number)
  }
  return newest
}

interface Writer {
  child: ChildProcess
  lines: string[]
}

function startWriter(t: ExecutionContext, file: string, first: number): Writer {
  const script = new URL('random-writes.ts', import.meta.url).pathname
  const child = spawn(process.execPath, ['--no-warnings', script, file, `${first}`, `${blockCount}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const lines: string[] = []
  child.stdout.setEncoding('utf8').on('data', (text: string) => lines.push(text))
  return { child, lines }
}

/** The last number that a sync covered; the writer has ended by itself, since its server is gone. */
async function lastSynced({ child, lines }: Writer): Promise<number> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'close')
  return Number(lines.join('').trim().split('\n').at(-1) ?? 0)
}

/** Ends when the serving process does. */
async function sealWhileServed(store: ServedStore, directory: string): Promise<void> {
  while (store.child.exitCode === null && store.child.signalCode === null) {
    // The one that the kill interrupts fails.
    await store.call('seal', { directory }).catch(() => undefined)
    await setTimeout(50)
  }
}

contract('names made before a sync outlive a killed server, and mounts without a server are found', [], async (t, { name: transport }) => {
  const store = await ServedStore.start(t, { transport })
  const mounted = await store.make('names', [], { limits })
  const other = await store.make('other')
  for (let index = 0; index < 50; index += 1) await writeFile(mounted.path(`file-${index}`), `${index}`)
  const handle = await open(mounted.directory)
  await handle.sync()
  await handle.close()
  await store.kill()
  await t.throwsAsync(readdir(mounted.directory), { code: 'ENOTCONN' })
  const below = join(store.directory, '..')
  t.deepEqual((await cleanStaleMountsBelow(below)).sort(), [mounted.directory, other.directory].sort())
  t.deepEqual(await cleanStaleMountsBelow(below), [])
  const again = await ServedStore.start(t, { transport, directory: store.directory })
  const back = await again.mount('names')
  t.deepEqual(await cleanStaleMountsBelow(below), [], 'a mount that is served stays')
  t.is((await readdir(back.directory)).length, 50)
  t.is(await readFile(back.path('file-49'), 'utf8'), '49')
})
