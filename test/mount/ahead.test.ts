/** A mount that is there before its head: whoever uses it waits. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { mountAt } from '../../fuse/index.ts'
import { systemEnv } from '../../src/env/system.ts'
import type { Engine } from '../../src/image/engine.ts'
import { openLocalEngine } from '../../src/image/local-engine.ts'
import { ImageMount } from '../../src/mount/image-mount.ts'
import type { Mounted } from '../../src/mount/transport.ts'
import { initStore } from '../../src/store/identity.ts'
import { scratch } from './served.ts'

async function mountedAhead(t: ExecutionContext): Promise<{ engine: Engine; mounted: Mounted; file: string }> {
  const directory = scratch((done) => t.teardown(done))
  const store = join(directory, 'store')
  const mountPoint = join(directory, 'mnt')
  const file = join(directory, 'file')
  writeFileSync(file, 'of the head')
  mkdirSync(mountPoint)
  initStore(systemEnv(), store)
  const engine = await openLocalEngine(store)
  await engine.createImage({ image: 'image', base: [file] })
  return { engine, mounted: await ImageMount.ahead({ image: 'image', directory: mountPoint }), file: join(mountPoint, 'file') }
}

/** A reader that has begun to wait: the kernel has it in a request, or in the queue for one. */
async function waitingReader(file: string): Promise<{ isOver: () => boolean; outcome: Promise<{ code: number; text: string }> }> {
  const child = spawn('cat', [file], { stdio: ['ignore', 'pipe', 'ignore'] })
  let text = ''
  let isOver = false
  child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part))
  const outcome = once(child, 'close').then(([code]) => {
    isOver = true
    return { code: code as number, text }
  })
  while (!readFileSync(`/proc/${child.pid}/wchan`, 'latin1').includes('fuse')) await new Promise((resolve) => setTimeout(resolve, 5))
  return { isOver: () => isOver, outcome }
}

test('its users wait for the head, and then see it', async (t) => {
  const { engine, mounted, file } = await mountedAhead(t)
  const reader = await waitingReader(file)
  const head = await ImageMount.open({ engine, image: 'image', directory: mounted.directory, mounted })
  t.deepEqual(await reader.outcome, { code: 0, text: 'of the head' })
  await mounted.close()
  t.not(mountAt(mounted.directory), undefined, 'what is served ends by itself alone')
  await head.close()
  t.is(mountAt(mounted.directory), undefined)
  await engine.close()
})

test('its users get errors when no head comes, and nothing is left of it', async (t) => {
  const { engine, mounted, file } = await mountedAhead(t)
  const reader = await waitingReader(file)
  t.false(reader.isOver())
  await mounted.close()
  await mounted.close()
  t.like(await reader.outcome, { code: 1, text: '' })
  t.is(mountAt(mounted.directory), undefined)
  await t.throwsAsync(ImageMount.open({ engine, image: 'image', directory: mounted.directory, mounted }), { instanceOf: TypeError })
  await engine.openHead({ image: 'image' })
  await engine.closeHead({ image: 'image' })
  await engine.close()
})
