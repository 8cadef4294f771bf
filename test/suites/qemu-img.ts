/** qemu-img: images converted, grown, snapshot, checked and compared on the mount. */
import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs/promises'
import type { ServedMount } from '../mount/served.ts'
import type { Extent, Suite } from './suite.ts'
import { execute, missingProgram } from './suite.ts'

const mebibyte = 2 ** 20
const parts = { short: 48, full: 1024 }

export const qemuImg: Suite = {
  name: 'qemu-img',
  missing: () => missingProgram('qemu-img', 'qemu-utils'),
  async run(mounted: ServedMount, extent: Extent) {
    const raw = mounted.path('data.raw')
    await writeRaw(raw, parts[extent])
    const image = (...parameters: string[]): Promise<string> => execute('qemu-img', parameters)
    for (const [name, options] of [['plain', []], ['packed', ['-c']], ['small', ['-o', 'cluster_size=4k']]] as const) {
      const qcow2 = mounted.path(`${name}.qcow2`)
      await image('convert', '-f', 'raw', '-O', 'qcow2', '-t', 'none', '-T', 'none', ...options, raw, qcow2)
      await mounted.seal(name)
      await image('check', '-f', 'qcow2', qcow2)
      await image('compare', '-f', 'raw', '-F', 'qcow2', '-T', 'none', raw, qcow2)
    }
    const qcow2 = mounted.path('plain.qcow2')
    await image('snapshot', '-c', 'before', qcow2)
    await image('resize', '-q', qcow2, `+${parts[extent]}M`)
    await mounted.seal('grown')
    await image('check', '-f', 'qcow2', qcow2)
    await image('compare', '-f', 'raw', '-F', 'qcow2', raw, qcow2)
    await image('convert', '-f', 'qcow2', '-O', 'raw', '-S', '4k', qcow2, mounted.path('back.raw'))
    await image('compare', '-f', 'raw', '-F', 'raw', raw, mounted.path('back.raw'))
    return `${parts[extent]} MiB as raw and three kinds of qcow2: converted, checked, compared, grown`
  },
}

/** Random bytes, zeros and holes, a part of each after the other. */
async function writeRaw(path: string, count: number): Promise<void> {
  const file = await fs.open(path, 'w')
  try {
    for (let part = 0; part < count; part += 3) {
      await file.write(randomBytes(mebibyte), 0, mebibyte, part * mebibyte)
      await file.write(Buffer.alloc(mebibyte), 0, mebibyte, (part + 1) * mebibyte)
    }
    await file.truncate(count * mebibyte)
  } finally {
    await file.close()
  }
}
