/** posixtest: what the file systems written with go-fuse are held to. https://github.com/hanwen/go-fuse */
import { spawnSync } from 'node:child_process'
import type { ServedMount } from '../mount/served.ts'
import type { Extent, Suite } from './suite.ts'
import { execute, missingProgram } from './suite.ts'

/** Oldest Go that builds it. */
const goMinor = 21
const directory = new URL('posixtest', import.meta.url).pathname

export const posixtest: Suite = {
  name: 'posixtest',
  missing() {
    const missing = missingProgram('go', 'golang-go')
    if (missing !== null) return missing
    const version = spawnSync('go', ['env', 'GOVERSION'], { cwd: '/' }).stdout.toString().trim()
    const minor = Number(/^go1\.(\d+)/.exec(version)?.[1] ?? 0)
    return minor >= goMinor ? null : `it needs Go 1.${goMinor}, this is ${version}: install a newer Go`
  },
  async run(mounted: ServedMount, _extent: Extent) {
    const output = await execute('go', ['test', '-count=1', '-v', './...'], {
      directory, environment: { POSIXTEST_DIRECTORY: mounted.directory }, limitMs: 600_000,
    })
    const count = (word: string): number => output.match(new RegExp(`^ *--- ${word}: TestPosix/`, 'gm'))?.length ?? 0
    const skipped = [...output.matchAll(/--- SKIP: TestPosix\/(\w+)/g)].map(([, name]) => name)
    return `${count('PASS')} passed, ${count('FAIL')} failed, ${skipped.length} skipped: ${skipped.join(', ')}`
  },
}
