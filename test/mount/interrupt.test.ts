/** Writes that wait for commits: a killed writer ends at once, other signals wait as they do for a disk. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { ServedStore } from './served.ts'
import type { ServedMount } from './served.ts'

const program = `
import os, signal, sys
signal.signal(signal.SIGUSR1, lambda *_: None)
file = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
for part in range(24): assert os.write(file, b"x" * 100000) == 100000
print("written")`

/** A mount whose commits wait for a decision, and a writer that waits for them. */
async function waiting(t: ExecutionContext): Promise<{ store: ServedStore; mounted: ServedMount; writer: ChildProcess }> {
  const store = await ServedStore.start(t)
  const limits = { segmentBytesMax: 2 ** 19, logBytesMax: 2 ** 20, laneSyncBytes: 2 ** 19 }
  const mounted = await store.make('held', [], { limits })
  await store.call('barrier', { directory: mounted.directory })
  const writer = spawn('python3', ['-c', program, mounted.path('file')], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => writer.kill('SIGKILL'))
  // A writer is held up for some milliseconds at a time before it has to wait: that is over soon by itself.
  for (let seen = 0; seen < 20; seen = (await mounted.statistics()).parked === 0 ? 0 : seen + 1) await sleep(20)
  return { store, mounted, writer }
}

test.serial('a writer that is killed while its write waits ends at once', async (t) => {
  const { store, mounted, writer } = await waiting(t)
  writer.kill('SIGKILL')
  await once(writer, 'exit')
  t.is((await mounted.statistics()).parked, 0)
  await store.call('abandon', { directory: mounted.directory })
  await mounted.unmount()
})

test.serial('another signal does not cut a waiting write short', async (t) => {
  const { store, mounted, writer } = await waiting(t)
  const output = text(writer.stdout!)
  const exit = once(writer, 'exit')
  for (let times = 0; times < 5; times += 1) writer.kill('SIGUSR1')
  await mounted.statistics()
  t.is((await mounted.statistics()).parked, 1)
  await store.call('abandon', { directory: mounted.directory })
  t.is(await output, 'written\n')
  t.deepEqual(await exit, [0, null])
  t.true(readFileSync(mounted.path('file')).equals(Buffer.alloc(2_400_000, 'x')))
  await mounted.unmount()
})
