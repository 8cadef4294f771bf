/** Copies of kernels in memory: what is held, what is not, and that nothing of it has a name. */
import { Buffer } from 'node:buffer'
import { readdirSync, readFileSync } from 'node:fs'
import test from 'ava'
import { systemEnv } from '../../src/env/system.ts'
import type { InodeRecord } from '../../src/format/inode.ts'
import { BootFiles } from '../../src/machine/boot-files.ts'
import { bootFileBytesMax, bootFilesMax } from '../../src/machine/limits.ts'
import { MachineRig, until } from './rig.ts'
import { counting, smallGuest, spoken } from './small-guest.ts'
import { isUnbroken } from '../drivers/guests.ts'

function inodeOf(dataRoot: string, bytes: number): InodeRecord {
  return {
    mode: 0o100600, uid: 0, gid: 0, linkCount: 1, deviceNumber: 0, size: BigInt(bytes), accessedNs: 0n, modifiedNs: 0n,
    changedNs: 0n, isMemory: false, isLinkable: false, target: Buffer.alloc(0), dataRoot: Buffer.from(dataRoot), attributesRoot: null,
  }
}

test('contents are held once, found by what they are, and gone with the end', (t) => {
  const files = new BootFiles(systemEnv())
  const kernel = inodeOf('kernel', 6)
  t.is(files.find(kernel), null)
  files.hold(kernel, () => [Buffer.from('abc'), Buffer.from('def')])
  files.hold(kernel, () => {
    throw new Error('it is held already')
  })
  const place = files.find(kernel)!
  t.is(readFileSync(place, 'utf8'), 'abcdef')
  t.is(files.find(inodeOf('kernel', 7)), null)
  t.false(readdirSync('/dev/shm').some((name) => name.startsWith('.holdfast-')), 'nothing has a name')
  files.close()
  t.is(files.find(kernel), null)
})

test('what cannot be read is not held, and neither is what is too large or too much', (t) => {
  using files = new BootFiles(systemEnv())
  const broken = inodeOf('broken', 3)
  t.throws(() => files.hold(broken, () => {
    throw new Error('damaged')
  }), { message: 'damaged' })
  t.is(files.find(broken), null)
  const large = inodeOf('large', bootFileBytesMax + 1)
  files.hold(large, () => [])
  t.is(files.find(large), null)
  const many = Array.from({ length: bootFilesMax + 1 }, (_, index) => inodeOf(`number ${index}`, 1))
  for (const inode of many) files.hold(inode, () => [Buffer.alloc(1)])
  t.is(many.filter((inode) => files.find(inode) !== null).length, bootFilesMax)
})

test.serial('a resumed guest has its firmware from memory, also the second time and in a fork', async (t) => {
  await using rig = await MachineRig.open()
  let summary = await rig.machines.start(await smallGuest(rig, 'vm'))
  await rig.machines.checkpoint({ image: 'vm' })
  const firmwareOf = (pid: number): string => {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
    return words[words.indexOf('-bios') + 1]
  }
  t.regex(firmwareOf(summary.pid!), /\/mount\//, 'a first start reads it from its mount')
  for (let cycle = 0; cycle < 2; cycle += 1) {
    await counting(rig, 'vm')
    await rig.machines.checkpoint({ image: 'vm' })
    process.kill(summary.pid!, 'SIGKILL')
    await until(() => rig.machines.summaries('vm')[0].state === 'failed')
    summary = (await rig.machines.resume({ target: 'vm' })).machine
    t.regex(firmwareOf(summary.pid!), /^\/proc\/\d+\/fd\/\d+$/)
    await counting(rig, 'vm')
    t.true(isUnbroken(spoken(summary)), spoken(summary))
  }
  const fork = await rig.machines.resume({ target: 'vm', as: 'fork' })
  t.regex(firmwareOf(fork.machine.pid!), /^\/proc\/\d+\/fd\/\d+$/)
  await counting(rig, 'fork')
})
