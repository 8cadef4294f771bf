/**
 * fsx: random reads, writes, maps, truncations and holes of one file, each read checked. Its seed is printed
 * with a failure. https://github.com/asomers/fsx-rs
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { ServedMount } from '../mount/served.ts'
import { seedOf } from '../random.ts'
import type { Extent, Suite } from './suite.ts'
import { crateProgram, execute, missingCrate } from './suite.ts'

export const fsxCrate = { name: 'fsx', version: '0.3.2', rust: '1.82' }

/** Without a pause the commits of the seals take most of a machine with two cores. */
const sealPauseMs = 500
/** One run of it: it leaks a mapping for each mapped read, and the kernel allows a process some 65,000. */
const operationsMax = 200_000
const operations = { short: 50_000, full: 1_000_000 }

/** A file of half a MiB spans eight chunks; operations stay within one or cross into the next. */
const configuration = `
flen = 524288
nomsyncafterwrite = true
[opsize]
max = 40000
[weights]
close_open = 1
invalidate = 1
mapread = 10
mapwrite = 10
read = 10
write = 10
truncate = 5
fsync = 0.05
fdatasync = 0.05
posix_fallocate = 2
punch_hole = 4
sendfile = 2
posix_fadvise = 1
copy_file_range = 4
`

export const fsx: Suite = {
  name: 'fsx',
  missing: () => missingCrate(fsxCrate),
  async run(mounted: ServedMount, extent: Extent) {
    const seed = seedOf('fsx') % 2 ** 31
    const around = join(mounted.directory, '..')
    const file = join(around, 'fsx.toml')
    writeFileSync(file, configuration)
    const count = operations[extent]
    const seals = sealUntil(mounted)
    try {
      for (let done = 0; done < count; done += operationsMax) {
        await part(seed + done, Math.min(operationsMax, count - done), ['-P', around, '-f', file, mounted.path('fsx')])
      }
    } finally {
      await seals.stop()
    }
    return `${count} operations with seeds from ${seed}, ${seals.count()} seals meanwhile`
  },
}

/** Begins anew where it allocates no bytes, which no file system does, and takes the refusal for a failure. */
async function part(seed: number, count: number, where: readonly string[]): Promise<void> {
  for (let other = seed; ; other += 1_000_003) {
    try {
      await execute(crateProgram(fsxCrate), ['-q', '-S', `${other}`, '-N', `${count}`, ...where], { limitMs: 1_800_000 })
      return
    } catch (error) {
      if (!/POSIX_FALLOCATE [^\n]*\(\s*0x0 bytes\)\s*$/.test(String(error))) throw error
    }
  }
}

/** Seals one epoch after the other: commits and retirements run under the suite. */
function sealUntil(mounted: ServedMount): { stop: () => Promise<void>; count: () => number } {
  let isOver = false
  let count = 0
  const running = (async () => {
    for (; !isOver; count += 1) {
      await mounted.seal()
      await setTimeout(sealPauseMs)
    }
  })()
  running.catch(() => undefined)
  return {
    count: () => count,
    async stop() {
      isOver = true
      await running
    },
  }
}
