/**
 * Writes `store-v1.tar.gz`: every kind of file that a store has. Run once for a format version,
 * `node test/golden/make-store.ts FILE`; the file is committed and never made again.
 */
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { makeRig } from '../image/rig.ts'
import { Work } from '../image/work.ts'
import { base, disks, machineFacts, machineState, memory, workingSet } from './store-v1.ts'

const rig = await makeRig()
const tree = join(rig.parent, 'base')
for (const [name, bytes] of Object.entries(base)) {
  fs.mkdirSync(join(tree, name, '..'), { recursive: true })
  fs.writeFileSync(join(tree, name), bytes)
}
fs.symlinkSync('a file', join(tree, 'link'))
const work = new Work(rig, 'vm')
await work.engine.createImage({ image: 'vm', base: [tree] })
await work.open()
work.write('disk', disks[0])
await work.commit('epoch', { note: 'the first' })
work.write('disk', disks[1])
work.file('memory', true)
work.write('memory', memory)
await work.commit('epoch', { note: 'with a machine', machine: { state: machineState, facts: machineFacts, pauseMs: 2.5 } })
await work.engine.pin({ epoch: 'vm@1', pinned: true })
await work.engine.fork({ epoch: 'vm@2', image: 'fork' })
await work.engine.saveWorkingSet({ epoch: 'vm@2', set: workingSet })
work.write('disk', disks[2])
await work.commit('head')
work.write('disk', disks[3])
work.write('memory', memory.subarray(1000))
await work.abandon()
await work.engine.close()
const shape = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner']
execFileSync('tar', [...shape, '-czf', process.argv[2], '-C', rig.directory, '.'])
await rig.remove()
