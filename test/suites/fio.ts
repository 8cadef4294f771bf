/** fio: writes at random with many requests in flight, then reads everything back and checks it. */
import type { ServedMount } from '../mount/served.ts'
import type { Extent, Suite } from './suite.ts'
import { execute, missingProgram } from './suite.ts'

const jobs: Record<string, string[]> = {
  'direct, depth 16': ['--ioengine=libaio', '--direct=1', '--iodepth=16', '--bs=4k', '--rw=randwrite'],
  'direct, mixed sizes': ['--ioengine=libaio', '--direct=1', '--iodepth=8', '--bsrange=4k-1m', '--rw=randwrite'],
  'buffered, odd sizes': ['--ioengine=psync', '--bsrange=512-200k', '--bs_unaligned=1', '--rw=randrw'],
  'shared mapping': ['--ioengine=mmap', '--bs=4k', '--rw=randwrite'],
}
const sizes = { short: '48m', full: '1g' }

export const fio: Suite = {
  name: 'fio',
  missing: () => missingProgram('fio', 'fio'),
  async run(mounted: ServedMount, extent: Extent) {
    for (const [name, parameters] of Object.entries(jobs)) {
      const file = mounted.path(name.replaceAll(/\W+/g, '-'))
      const common = [`--name=${name}`, `--filename=${file}`, `--size=${sizes[extent]}`, '--verify_fatal=1']
      await execute('fio', [...common, ...parameters, '--verify=crc32c', '--randrepeat=0', '--verify_state_save=0',
        '--fallocate=none'], { limitMs: 600_000 })
      await mounted.seal(name)
    }
    return `${Object.keys(jobs).join('; ')}: ${sizes[extent]} each`
  },
}
