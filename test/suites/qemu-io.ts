/** qemu-io and qemu-img: patterns through QEMU's block layer, raw and qcow2, checked and compared. */
import type { ServedMount } from '../mount/served.ts'
import type { Extent, Suite } from './suite.ts'
import { execute, missingProgram } from './suite.ts'

/** Writes that overlap, zeros and discards between them, and what then must be read. */
const commands = [
  'write -P 0xa1 0 1M', 'write -P 0xb2 512k 3M', 'write -z 1M 256k', 'discard 2M 128k', 'write -P 0xc3 65535k 1k',
  'write -P 0xd4 100000k 192k', 'flush', 'read -P 0xa1 0 512k', 'read -P 0xb2 512k 512k', 'read -P 0 1M 256k',
  'read -P 0xb2 1280k 768k', 'read -P 0xc3 65535k 1k', 'read -P 0xd4 100000k 192k', 'read -P 0 200M 1M',
]

export const qemuIo: Suite = {
  name: 'qemu-io',
  missing: () => missingProgram('qemu-io', 'qemu-utils') ?? missingProgram('qemu-img', 'qemu-utils'),
  async run(mounted: ServedMount, _extent: Extent) {
    const raw = mounted.path('disk.raw')
    const qcow2 = mounted.path('disk.qcow2')
    await execute('qemu-img', ['create', '-q', '-f', 'raw', raw, '256M'])
    await execute('qemu-img', ['create', '-q', '-f', 'qcow2', qcow2, '256M'])
    for (const [format, file] of [['raw', raw], ['qcow2', qcow2]]) {
      for (const cache of ['none', 'writeback']) {
        const output = await execute('qemu-io', [
          '-f', format, '-t', cache, '-d', 'unmap', ...commands.flatMap((command) => ['-c', command]), file,
        ])
        if (/verification failed|error/i.test(output)) throw new Error(`${format}, ${cache}:\n${output}`)
        await mounted.seal(`${format} ${cache}`)
      }
    }
    await execute('qemu-img', ['check', '-q', qcow2])
    await execute('qemu-img', ['compare', raw, qcow2])
    await execute('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, mounted.path('converted.qcow2')])
    await execute('qemu-img', ['compare', raw, mounted.path('converted.qcow2')])
    return `${commands.length} commands on raw and qcow2, cached and direct`
  },
}
