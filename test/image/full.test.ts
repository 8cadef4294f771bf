/**
 * Each write to the log fails once, with half of its bytes written: what lacked space is refused with ENOSPC, has
 * changed nothing and is done when it is tried again; what failed otherwise fails the head, and all before is kept.
 */
import { Buffer } from 'node:buffer'
import { constants } from 'node:os'
import test from 'ava'
import type { Env, EnvFile } from '../../src/env/env.ts'
import { systemEnv } from '../../src/env/system.ts'
import { wrapIo } from '../../src/errors.ts'
import { changeAttributes, setAttribute } from '../../src/image/head-attributes.ts'
import { readData, truncateData, writeData, zeroData } from '../../src/image/head-data.ts'
import { link, lookup, make, remove, rename } from '../../src/image/head-names.ts'
import type { Head } from '../../src/image/head.ts'
import type { InodeState } from '../../src/image/inode-state.ts'
import { listNames } from '../../src/image/listing.ts'
import { makeRig, openHead } from './rig.ts'

/** The system's Env, whose log fails at its n-th write (or at the making of a file) when told to. */
class FailingLog {
  failing: { code: string; after: number } | null = null

  readonly env: Env = {
    ...systemEnv(),
    open: (path, mode) => {
      if (mode === 'create') this.#note(() => undefined)
      const file = systemEnv().open(path, mode)
      return mode === 'create' ? this.#file(file) : file
    },
  }

  #file(file: EnvFile): EnvFile {
    return {
      path: file.path, fd: file.fd, read: (target, position) => file.read(target, position),
      write: (source, position) => {
        this.#note(() => file.write(source.subarray(0, source.length >> 1), position))
        file.write(source, position)
      },
      writev: (sources, position) => file.writev(sources, position), append: (source) => file.append(source),
      truncate: (bytes) => file.truncate(bytes), size: () => file.size(), sync: () => file.sync(),
      close: () => file.close(), [Symbol.dispose]: () => file.close(),
    }
  }

  #note(half: () => void): void {
    if (this.failing === null || this.failing.after-- > 0) return
    const { code } = this.failing
    this.failing = null
    half()
    throw wrapIo(Object.assign(new Error(code), { code }), 'writing the log')
  }
}

const named = (head: Head, name: string): InodeState => {
  const found = lookup(head, head.inode(1)!, Buffer.from(name))
  if (typeof found === 'number') throw new Error(`there is no ${name}`)
  return found
}
const owned = { uid: 0, gid: 0 }
const moved = (head: Head): { parent: InodeState; newParent: InodeState; noReplace: boolean; exchange: boolean } =>
  ({ parent: head.inode(1)!, newParent: head.inode(1)!, noReplace: false, exchange: false })
const write = (head: Head, name: string, chunk: number, bytes: number): number =>
  writeData(head, named(head, name), { chunk, within: 100 }, Buffer.alloc(80 + bytes, name), 80, bytes, 1n)

/** Each in turn; a negative number is an error. */
const steps: ((head: Head) => number | InodeState)[] = [
  (head) => make(head, head.inode(1)!, Buffer.from('a'), { ...owned, mode: 0o100644 }, 1n),
  (head) => write(head, 'a', 0, 70_000),
  (head) => make(head, head.inode(1)!, Buffer.from('d'), { ...owned, mode: 0o40755 }, 1n),
  (head) => link(head, named(head, 'a'), head.inode(1)!, Buffer.from('b'), 1n),
  (head) => truncateData(head, named(head, 'a'), { chunk: 0, within: 5000 }, 1n),
  (head) => write(head, 'b', 3, 10),
  (head) => zeroData(head, named(head, 'a'), { chunk: 0, within: 200 }, 1000n, 1n),
  (head) => changeAttributes(head, named(head, 'a'), { mode: 0o600 }, 1n),
  (head) => setAttribute(head, named(head, 'a'), Buffer.from('user.x'), Buffer.from('v'),
    { createOnly: false, replaceOnly: false }, 1n),
  (head) => rename(head, { ...moved(head), name: Buffer.from('a'), newName: Buffer.from('c') }, 1n),
  (head) => remove(head, head.inode(1)!, Buffer.from('d'), 'directory', 1n),
  (head) => {
    head.rotate()
    return write(head, 'c', 7, 3000)
  },
  (head) => remove(head, head.inode(1)!, Buffer.from('b'), 'other', 1n),
]

/** Names, attributes and contents; no times. */
function described(head: Head): string[] {
  return [...listNames(head, head.inode(1)!, 0)].map(({ name, inode }) => {
    const state = head.inode(inode)!
    const bytes = Buffer.alloc(state.isDirectory ? 0 : Number(state.size))
    if (!state.isDirectory) readData(head, state, 0, 0, bytes.length, bytes)
    const sum = bytes.reduce((total, byte, at) => (total * 31 + byte * (at + 1)) % 1_000_003, 7)
    return `${name.toString()} ${state.mode.toString(8)} ${state.linkCount} ${bytes.length} ${sum}`
  }).sort()
}

async function states(): Promise<string[][]> {
  const rig = await makeRig()
  await rig.engine.createImage({ image: 'image', base: [] })
  const { head, close } = await openHead(await rig.engine.openHead({ image: 'image' }))
  const found = [described(head)]
  for (const step of steps) {
    step(head)
    found.push(described(head))
  }
  await close()
  await rig.remove()
  return found
}

for (const code of ['ENOSPC', 'EDQUOT', 'EIO'] as const) {
  test(`${code} at each write of the log`, async (t) => {
    const wanted = await states()
    const rig = await makeRig()
    t.teardown(() => rig.remove())
    let hasFailed = true
    for (let after = 0; hasFailed; after += 1) {
      const image = `image-${after}`
      await rig.engine.createImage({ image, base: [] })
      const log = new FailingLog()
      const { head, close } = await openHead(await rig.engine.openHead({ image }), log.env)
      log.failing = { code, after }
      hasFailed = false
      let done = 0
      for (const step of steps) {
        const result = step(head)
        if (typeof result === 'number' && result < 0) {
          t.false(hasFailed, 'once')
          hasFailed = true
          t.is(result, code === 'EIO' ? -constants.errno.EIO : -constants.errno.ENOSPC, `write ${after}`)
          t.deepEqual(described(head), wanted[done], `write ${after}: nothing happened`)
          t.is(head.isFailed, code === 'EIO')
          if (code === 'EIO') break
          const repeated = step(head)
          t.true(typeof repeated !== 'number' || repeated >= 0, `write ${after}, again`)
        }
        done += 1
        t.deepEqual(described(head), wanted[done])
      }
      if (code === 'EIO' && hasFailed) {
        t.is(changeAttributes(head, head.inode(1)!, { mode: 0o700 }, 1n), -constants.errno.EIO, 'nothing more is accepted')
      }
      await close()
      await rig.engine.closeHead({ image })
      const again = await openHead(await rig.engine.openHead({ image }))
      t.deepEqual(described(again.head), wanted[done], `write ${after}, recovered`)
      await again.close()
      await rig.engine.closeHead({ image })
    }
  })
}
