/** Seals of a mount in use: each epoch is a state that was, at one moment, that of the whole image. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, readSync, writeSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { ServedStore } from './served.ts'
import { contract } from './transports.ts'

const blockBytes = 4096

/** Numbers, 4,096 bytes each, written in order into two files in turn, until the process is told to end. */
const writer = `
import os, struct, sys, time
files = [os.open(sys.argv[1] + "/" + name, os.O_CREAT | os.O_WRONLY) for name in ("even", "odd")]
sys.stdout.write("begun"); sys.stdout.flush()
number = 0
while number < 8000 and not os.path.exists(sys.argv[2]):
    if number % 16 == 0: time.sleep(0.005)
    os.pwrite(files[number % 2], struct.pack("<I", number + 1) * 1024, number // 2 * 4096)
    number += 1`

contract('each epoch holds a prefix of the writes to two files, in their order', [], async (t, { name: transport }) => {
  const store = await ServedStore.start(t, { transport })
  const mounted = await store.make('order', [], { limits: { segmentBytesMax: 2 ** 20 } })
  const stop = `${store.directory}/../stop`
  const child = spawn('python3', ['-c', writer, mounted.directory, stop], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  const epochs = 5
  for (let count = 0; count < epochs; count += 1) {
    await mounted.seal()
    await setTimeout(20)
  }
  const ended = once(child, 'exit')
  closeSync(openSync(stop, 'w'))
  await ended
  const lengths: number[] = []
  for (let number = 1; number <= epochs; number += 1) {
    await store.fork(`order@${number}`, `at-${number}`)
    const fork = await store.mount(`at-${number}`)
    const even = numbersIn(readFileSync(fork.path('even')))
    const odd = numbersIn(readFileSync(fork.path('odd')))
    await fork.unmount()
    const all = even.flatMap((each, index) => index < odd.length ? [each, odd[index]] : [each])
    t.deepEqual(all, all.map((_, index) => index + 1), `epoch ${number} is a prefix`)
    t.true(even.length === odd.length || even.length === odd.length + 1, `epoch ${number}: ${even.length}, ${odd.length}`)
    lengths.push(all.length)
  }
  t.deepEqual(lengths, [...lengths].sort((a, b) => a - b))
  t.true(lengths[epochs - 1] > lengths[0])
})

/** The number of each block; 0 where a block is not all of one number. */
function numbersIn(bytes: Buffer): number[] {
  return Array.from({ length: bytes.length / blockBytes }, (_, index) => {
    const block = bytes.subarray(index * blockBytes, (index + 1) * blockBytes)
    const number = block.readUInt32LE(0)
    return block.equals(Buffer.alloc(blockBytes, block.subarray(0, 4))) ? number : 0
  })
}

contract('what is written after a barrier is in no epoch that the barrier makes', [], async (t, { name: transport }) => {
  const store = await ServedStore.start(t, { transport })
  const mounted = await store.make('cut')
  const file = openSync(mounted.path('f'), 'w+')
  t.teardown(() => closeSync(file))
  writeSync(file, 'before')
  await store.call('barrier', { directory: mounted.directory })
  writeSync(file, 'after', 0)
  await store.call('abandon', { directory: mounted.directory })
  const { epoch } = await mounted.seal()
  t.is(epoch?.number, 1, 'an abandoned cut makes no epoch')
  writeSync(file, 'later', 0)
  const read = Buffer.alloc(6)
  readSync(file, read, 0, 6, 0)
  t.is(read.toString(), 'latere')
  await store.fork('cut@1', 'fork')
  const fork = await store.mount('fork')
  t.is(readFileSync(fork.path('f'), 'utf8'), 'aftere')
})
