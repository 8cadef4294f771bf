/** A store on a file system that fills up: what fails says NO_SPACE, and all goes on when there is room again. */
import { Buffer } from 'node:buffer'
import { execFileSync, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { MIB } from '../../src/limits.ts'
import { systemEnv } from '../../src/env/system.ts'
import { Random } from '../random.ts'
import { Work } from './work.ts'
import { initStore, openLocalEngine } from './variant.ts'

const canMount = process.getuid?.() === 0 && spawnSync('sh', ['-c', 'command -v mount']).status === 0
const withMount = canMount ? test.serial : test.serial.skip

/** A store in a file system of its own, whose room `leave` takes but for so many bytes. */
class SmallDisk {
  readonly parent: string
  readonly #ballast: string

  constructor(t: ExecutionContext, mebibytes: number) {
    this.parent = fs.mkdtempSync(join(tmpdir(), 'holdfast-space-'))
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'holdfast-test', this.parent])
    t.teardown(() => {
      execFileSync('umount', ['--lazy', this.parent])
      fs.rmdirSync(this.parent)
    })
    this.#ballast = join(this.parent, 'ballast')
  }

  leave(bytes: number): void {
    this.release()
    const { bavail, bsize } = fs.statfsSync(this.parent)
    fs.writeFileSync(this.#ballast, Buffer.alloc(Math.max(0, bavail * bsize - bytes)))
  }

  release(): void {
    fs.rmSync(this.#ballast, { force: true })
  }
}

async function workOn(t: ExecutionContext, disk: SmallDisk): Promise<Work> {
  const directory = join(disk.parent, 'store')
  initStore(systemEnv(), directory)
  const rig = { parent: disk.parent, directory, engine: await openLocalEngine(directory), remove: async () => undefined }
  const work = new Work(rig, 'vm')
  t.teardown(async () => {
    await work.abandon()
    await work.engine.close().catch(() => undefined)
  })
  return work
}

withMount('an image that has no room is not made, and made when there is (needs root to mount)', async (t) => {
  const disk = new SmallDisk(t, 96)
  const work = await workOn(t, disk)
  const base = join(disk.parent, 'base.raw')
  const bytes = new Random(1).bytes(10 * MIB)
  fs.writeFileSync(base, bytes)
  for (const room of [6 * MIB, 2 * MIB, 300_000, 0]) {
    disk.leave(room)
    await t.throwsAsync(work.engine.createImage({ image: 'vm', base: [base] }), { code: 'NO_SPACE' }, `${room}`)
    t.deepEqual(await work.engine.images(), [])
  }
  disk.release()
  t.is((await work.engine.createImage({ image: 'vm', base: [base] })).newest, 0)
  fs.rmSync(base)
  t.true((await work.exported('vm@0', '/base.raw')).equals(bytes))
  t.deepEqual((await work.engine.check({ readData: true })).damaged, [])
})

withMount('a commit that has no room keeps the log, and is done when there is (needs root to mount)', async (t) => {
  const disk = new SmallDisk(t, 160)
  const work = await workOn(t, disk)
  await work.engine.createImage({ image: 'vm', base: [] })
  await work.open()
  const bytes = new Random(2).bytes(8 * MIB)
  for (let at = 0; at < bytes.length; at += MIB) t.is(work.write('disk', bytes.subarray(at, at + MIB), at), MIB)
  const segment = work.head.rotate()
  // Each attempt may store a part, which the next one finds.
  for (const room of [3 * MIB, 2 * MIB, 0]) {
    for (const kind of ['head', 'epoch'] as const) {
      disk.leave(room)
      await t.throwsAsync(work.engine.commit({ image: 'vm', segment, kind }), { code: 'NO_SPACE' }, `${room} ${kind}`)
      t.true(work.read('disk', 3 * MIB).equals(bytes.subarray(3 * MIB, 4 * MIB)))
      t.is((await work.engine.log({ image: 'vm' })).length, 1)
    }
  }
  disk.release()
  const result = await work.engine.commit({ image: 'vm', segment, kind: 'epoch' })
  work.head.retire(result.segment, Buffer.from(result.manifest, 'hex'))
  t.true(work.read('disk', 5 * MIB).equals(bytes.subarray(5 * MIB, 6 * MIB)))
  t.is(result.epoch?.number, 1)
  t.deepEqual((await work.engine.check({ readData: true })).damaged, [])
})

withMount('a head without room refuses writes before they are taken, and still removes (needs root to mount)', async (t) => {
  const disk = new SmallDisk(t, 160)
  const work = await workOn(t, disk)
  await work.engine.createImage({ image: 'vm', base: [] })
  await work.open()
  work.write('disk', 'fits')
  disk.leave(60 * MIB)
  let written = 0
  let result = 0
  for (let at = 0; at < 40 && result >= 0; at += 1) {
    result = work.write('disk', Buffer.alloc(MIB, 1), at * MIB)
    if (result > 0) written += 1
  }
  t.is(result, -28)
  t.true(written < 40)
  t.is(work.truncate('disk', 0), 0)
  disk.release()
  t.is(work.write('disk', 'fits again'), 10)
  await work.commit('epoch')
  t.is((await work.exported('vm@1', '/disk')).toString(), 'fits again')
})
