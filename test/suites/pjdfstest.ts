/** pjdfstest: what POSIX says of system calls on files, call by call. https://github.com/saidsay-so/pjdfstest */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ServedMount } from '../mount/served.ts'
import type { Extent, Suite } from './suite.ts'
import { crateProgram, execute, missingCrate } from './suite.ts'

export const pjdfstestCrate = { name: 'pjdfstest', version: '0.2.2', rust: '1.85' }

/** Three unprivileged users that every Debian has. */
const configuration = `
[features]
posix_fallocate = {}
rename_ctime = {}
utime_now = {}
utimensat = {}
[settings]
naptime = 0.002
allow_remount = false
[dummy_auth]
entries = [["nobody", "nogroup"], ["daemon", "daemon"], ["bin", "bin"]]
`

export const pjdfstest: Suite = {
  name: 'pjdfstest',
  missing: () => process.getuid?.() === 0 ? missingCrate(pjdfstestCrate) : 'it switches users, which needs root',
  async run(mounted: ServedMount, extent: Extent) {
    const file = join(mounted.directory, '..', 'pjdfstest.toml')
    writeFileSync(file, configuration)
    const limitMs = extent === 'short' ? 400_000 : 600_000
    const output = await execute(crateProgram(pjdfstestCrate), ['-c', file, '-p', mounted.directory], { limitMs })
    return output.trim().split('\n').at(-1) ?? ''
  },
}
